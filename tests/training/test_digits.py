"""What the recipes of digits calibrate and measure."""

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from models.autoencoders.vanilla import FAMILY
from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from training import digits
from training.data.files import DataFolder
from training.data.mnist import GreyImages, MnistLabels
from training.recipe import Bar, Resources, recipes
from training.recipes.conv_ae_fashion import ConvAeFashion
from training.recipes.vanilla_ae_mnist import VanillaAeMnist

NOWHERE = Resources(DataFolder(Path("nowhere"), download=False), Path("nowhere"))
N_TEST = 20


def flat(levels: Tensor) -> Tensor:
    """Return pictures of one level each, `[n, 1, 28, 28]`."""
    return levels.float()[:, None, None, None].expand(-1, 1, 28, 28).clone()


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    test = flat(torch.arange(N_TEST) / 100)
    drawing = torch.zeros(3, 105, 105, dtype=torch.uint8)
    drawing[:, 20:60, 10:40] = 255
    monkeypatch.setattr(digits, "mnist_images", lambda _: GreyImages(test.flip(0), test))
    monkeypatch.setattr(digits, "mnist_labels", lambda _: MnistLabels(torch.arange(20) % 10, torch.arange(20) % 10))
    monkeypatch.setattr(digits, "fashion_mnist_sample", lambda _: flat(torch.tensor([0.01, 0.5, 0.9, 1.0])))
    monkeypatch.setattr(digits, "omniglot_characters", lambda _: drawing)


@pytest.fixture
def model() -> Autoencoder:
    """A model that reconstructs every picture as black, so that its error is the mean square of the picture."""
    config = VanillaConfig(input_shape=(1, 28, 28), hidden_widths=(4,), latent_width=2)
    model = cast("Autoencoder", FAMILY.new_model(config).eval().requires_grad_(False))
    for parameter in model.parameters():
        parameter.zero_()
    list(model.parameters())[-1].fill_(-100.0)  # the sigmoid of it is 0
    model.calibration = Calibration(
        scores={name: torch.linspace(0, 0.02, 101) for name in model.scores},
        percentile=52.0,  # a threshold of 0.0104
        latent_mean=torch.zeros(2),
        latent_deviation=torch.ones(2),
        mixture=None,
    )
    return model


def level_of(picture: Tensor) -> int:
    """Return the level of a flat picture in hundredths."""
    return round(100 * float(picture.max()))


def test_found_anomalies_and_false_alarms_are_counted_at_the_threshold(model: Autoencoder) -> None:
    metrics = VanillaAeMnist().evaluate_scores(model, NOWHERE)
    _, held_out = digits.random_halves(torch.arange(N_TEST))
    assert 0 < int((held_out > 10).sum()) < 10  # the threshold is the error of a level just above 0.1
    assert metrics == {
        "false_alarms": pytest.approx(float((held_out > 10).double().mean())),
        "characters_found": 1.0,
        "characters_auroc": 1.0,
        "clothes_found": 0.75,
        "clothes_auroc": pytest.approx(3 / 4 + float((held_out < 1).sum() + (held_out == 1).sum() / 2) / 40),
    }


def test_one_half_of_the_test_images_is_calibrated_on_and_the_other_measured() -> None:
    _, normal = VanillaAeMnist().calibration_items(NOWHERE.data)
    calibrated = [level_of(item) for item in normal]
    groups = VanillaAeMnist().chart_groups(NOWHERE.data)
    measured = [level_of(item) for part in groups.values() for item in part]
    assert len(calibrated) == len(measured) == N_TEST // 2
    assert sorted(calibrated + measured) == list(range(N_TEST))
    assert calibrated != sorted(calibrated)
    for name, part in groups.items():
        assert {level_of(item) % 10 for item in part} <= {int(name)}


def test_the_halves_are_always_the_same_and_pair_images_with_labels() -> None:
    first, second = digits.random_halves(torch.arange(7))
    assert (len(first), len(second)) == (4, 3)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(7))
    for half, doubled in zip((first, second), digits.random_halves(2 * torch.arange(7)), strict=True):
        assert torch.equal(2 * half, doubled)


def test_characters_are_framed_as_digits_are() -> None:
    (first, *_) = digits.framed_characters(NOWHERE.data)
    inked = first[0] > 0.5
    assert (int(inked.any(0).sum()), int(inked.any(1).sum())) == (15, 20)


def test_every_recipe_of_digits_measures_what_it_demands() -> None:
    found = {name: recipe for name, recipe in recipes().items() if isinstance(recipe, digits.DigitRecipe)}
    assert len(found) == 7
    for recipe in found.values():
        for name in ("characters_found", "clothes_found"):
            assert recipe.bars[name] == Bar(must=0.7, aim=0.95, higher_is_better=True)
        assert set(digits.OUTLIER_METRICS) <= set(recipe.metrics)
    assert not isinstance(ConvAeFashion(), digits.DigitRecipe)
    assert "characters_found" not in ConvAeFashion().metrics
