"""The classifier of outliers: what it finds, and that it follows from its seed."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from models.autoencoders.vanilla import FAMILY
from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.outlier_classifier import OUTLIER, OutlierClassifier
from training import outliers as fitting
from training.data.files import DataFolder
from training.data.mnist import GreyImages, MnistLabels
from training.drawings import filled_shapes, pen_drawings
from training.metrics import anomaly_scores, auroc
from training.outliers import fit_outlier_classifier, made_up_outliers
from training.typeset import typeset_characters

N = 500


def rings(n: int, random: np.random.Generator) -> Tensor:
    """Return pictures of a ring of any size and width, `[n, 1, 28, 28]`, which stand for normal pictures."""
    y, x = np.mgrid[0:28, 0:28] - 14
    radii, widths = random.uniform(5, 10, (n, 1, 1)), random.uniform(1, 2, (n, 1, 1))
    distances = np.abs(np.hypot(x, y) - radii)
    return torch.from_numpy(np.clip(1.5 * widths - distances, 0, 1)).float()[:, None]


@pytest.fixture(scope="module")
def model() -> Autoencoder:
    torch.manual_seed(0)
    config = VanillaConfig(input_shape=(1, 28, 28), hidden_widths=(16,), latent_width=4)
    return cast("Autoencoder", FAMILY.new_model(config).eval().requires_grad_(False))


@pytest.fixture(scope="module")
def fitted(model: Autoencoder) -> OutlierClassifier:
    random = np.random.default_rng(0)
    return fit_outlier_classifier(model, rings(N, random), pen_drawings(N, random), n_epochs=20)


def scores(model: Autoencoder, classifier: OutlierClassifier, pictures: Tensor) -> Tensor:
    return torch.stack([part.sum() for part in classifier.contributions(OUTLIER, list(pictures), model)])


def test_outliers_that_were_held_out_score_higher(model: Autoencoder, fitted: OutlierClassifier) -> None:
    random = np.random.default_rng(1)
    normal = scores(model, fitted, rings(100, random))
    is_outlier = torch.arange(200) >= 100
    for maker in (pen_drawings, filled_shapes):
        assert auroc(torch.cat([normal, scores(model, fitted, maker(100, random))]), is_outlier) > 0.97


def test_the_classifier_follows_from_the_seed(model: Autoencoder) -> None:
    random = np.random.default_rng(0)
    normal, outliers = rings(40, random), pen_drawings(40, random)
    state = torch.get_rng_state()
    first, again, other = (fit_outlier_classifier(model, normal, outliers, n_epochs=2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in vars(first).items():
        assert torch.equal(tensor, getattr(again, name))
        assert not tensor.requires_grad
    assert not torch.equal(first.last_weight, other.last_weight)


def test_the_model_stays_as_it_is_and_scores_by_the_classifier(model: Autoencoder, fitted: OutlierClassifier) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pictures = rings(20, np.random.default_rng(2))
    fit_outlier_classifier(model, pictures, pictures.flip(0), n_epochs=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model.use_detector(fitted)
    assert model.scores == (OUTLIER, "mse", "mae")
    torch.testing.assert_close(anomaly_scores(model, list(pictures), OUTLIER), scores(model, fitted, pictures))


def test_made_up_outliers_are_of_all_kinds_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read: list[object] = []
    images = rings(20, np.random.default_rng(0))

    def images_of(folder: object) -> GreyImages:
        read.append(folder)
        return GreyImages(images, images)

    monkeypatch.setattr(fitting, "mnist_images", images_of)
    monkeypatch.setattr(fitting, "mnist_labels", lambda _: MnistLabels(torch.arange(20) % 10, torch.arange(20) % 10))
    for name, n in (("N_PEN_DRAWINGS", 4), ("N_TYPESET", 5), ("N_SHAPES", 3), ("N_ALTERED", 2)):
        monkeypatch.setattr(fitting, name, n)
    folder = DataFolder(tmp_path, download=False)
    outliers = made_up_outliers(folder)
    assert outliers.shape == (14, 1, 28, 28)
    random = np.random.default_rng(0)
    expected = torch.cat([pen_drawings(4, random), typeset_characters(5, random), filled_shapes(3, random)])
    assert torch.equal(outliers[:12], expected)
    assert made_up_outliers(folder) is outliers
    assert read == [folder]
