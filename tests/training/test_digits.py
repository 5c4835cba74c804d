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
        percentile=50.0,
        latent_mean=torch.zeros(2),
        latent_deviation=torch.ones(2),
        mixture=None,
    )
    return model


def test_found_anomalies_and_false_alarms_are_counted_at_the_threshold(model: Autoencoder) -> None:
    metrics = VanillaAeMnist().evaluate_scores([model], NOWHERE)
    # The digits that are not calibrated on have the levels 0.01, 0.03, … 0.19, of which five are above 0.1.
    assert metrics == {
        "false_alarms": 0.5,
        "characters_found": 1.0,
        "characters_auroc": 1.0,
        "clothes_found": 0.75,
        "clothes_auroc": pytest.approx((3 * 10 + 0.5) / 40),
    }


def test_test_images_are_calibrated_on_and_measured_by_turns() -> None:
    _, normal = VanillaAeMnist().calibration_items(NOWHERE.data)
    assert [round(100 * float(item.max())) for item in normal] == list(range(0, N_TEST, 2))
    groups = VanillaAeMnist().chart_groups(NOWHERE.data)
    assert sorted(round(100 * float(item.max())) for part in groups.values() for item in part) == list(
        range(1, N_TEST, 2)
    )
    assert [round(100 * float(item.max())) for item in groups["3"]] == [3, 13]


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
