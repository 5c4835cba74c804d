"""The anomaly score of a classifier that was trained to tell normal pictures from outliers."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load
from scipy.special import erf
from torch import Tensor

from models.autoencoders.vanilla import FAMILY
from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoding.anomalies import detect_anomalies
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.outlier_classifier import (
    CELL_PX,
    MIN_ERROR,
    OUTLIER,
    OutlierClassifier,
    features_of,
    latents_and_reconstructions,
)
from models.checkpoint import load_model
from models.checkpoint.native import write_checkpoint
from models.tasks.autoencoding import DetectAnomaliesRequest

SIDE, LATENT_WIDTH = 8, 3
N_CELLS = (SIDE // CELL_PX) ** 2
N_FEATURES = LATENT_WIDTH + 2 * N_CELLS + 2


class Dimming:
    """Latents are the first pixels, and reconstructions are half as bright as a picture that is all of the first."""

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        return torch.stack([item.flatten()[:LATENT_WIDTH] for item in items])

    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> Sequence[Tensor]:
        return [torch.full(shape, float(latent[0]) / 2) for latent, shape in zip(latents, shapes, strict=True)]


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.rand(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def build_classifier(n_features: int = N_FEATURES) -> OutlierClassifier:
    draws = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draws)

    return OutlierClassifier(
        feature_mean=normal(n_features),
        feature_deviation=normal(n_features).abs() + 5,
        first_weight=normal(5, n_features),
        first_bias=normal(5),
        second_weight=normal(5, 5),
        second_bias=normal(5),
        last_weight=normal(1, 5),
        last_bias=torch.full((1,), 1.4),
    )


def expected_features(picture: Tensor) -> list[float]:
    """Return the features of a picture, computed pixel by pixel."""
    x = picture[0].double().numpy()
    error = x[0, 0] / 2 - x
    corners = [(i, j) for i in range(0, SIDE, CELL_PX) for j in range(0, SIDE, CELL_PX)]
    cells = [error[i : i + CELL_PX, j : j + CELL_PX] for i, j in corners]
    mean_square = (error**2).sum() / SIDE**2 + MIN_ERROR
    return [
        *x[0, :LATENT_WIDTH],
        *(np.log((cell**2).sum() / CELL_PX**2 + MIN_ERROR) for cell in cells),
        *(cell.sum() / CELL_PX**2 for cell in cells),
        np.log(mean_square),
        np.log(mean_square / ((x**2).sum() / SIDE**2 + MIN_ERROR)),
    ]


def test_features_are_those_of_plain_numpy(pictures: Tensor) -> None:
    found = features_of(pictures, *latents_and_reconstructions(list(pictures), Dimming()))
    assert found.shape == (6, N_FEATURES)
    np.testing.assert_allclose(found, [expected_features(picture) for picture in pictures], rtol=1e-4, atol=1e-6)


def test_the_score_is_the_softplus_of_the_logit(pictures: Tensor) -> None:
    classifier = build_classifier()
    values = {name: tensor.double().numpy() for name, tensor in vars(classifier).items()}
    hidden = np.array([expected_features(picture) for picture in pictures])
    hidden = (hidden - values["feature_mean"]) / values["feature_deviation"]
    for layer in ("first", "second"):
        hidden = hidden @ values[f"{layer}_weight"].T + values[f"{layer}_bias"]
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
    logits = (hidden @ values["last_weight"].T + values["last_bias"])[:, 0]
    assert logits.min() < 0 < logits.max()
    parts = classifier.contributions(OUTLIER, list(pictures), Dimming())
    np.testing.assert_allclose([part.sum() for part in parts], np.log1p(np.exp(logits)), rtol=1e-4)


def test_elements_share_the_score_as_they_share_the_error(pictures: Tensor) -> None:
    (part,) = build_classifier().contributions(OUTLIER, [pictures[0]], Dimming())
    squares = (pictures[0, 0, 0, 0] / 2 - pictures[0]).square()
    torch.testing.assert_close(part / part.sum(), squares / squares.sum())
    (part,) = build_classifier().contributions(OUTLIER, [torch.zeros(1, SIDE, SIDE)], Dimming())
    assert len(np.unique(part)) == 1  # an exact reconstruction has no error to share the score by
    assert float(part.sum()) > 0


def test_another_score_is_refused(pictures: Tensor) -> None:
    with pytest.raises(NotImplementedError, match="has the score outlier, and not combined"):
        build_classifier().contributions("combined", list(pictures), Dimming())


@pytest.fixture
def model() -> Autoencoder:
    torch.manual_seed(0)
    config = VanillaConfig(input_shape=(1, SIDE, SIDE), hidden_widths=(8,), latent_width=LATENT_WIDTH)
    return cast("Autoencoder", FAMILY.new_model(config).eval().requires_grad_(False))


def test_it_survives_the_checkpoint_and_is_the_default_score(
    model: Autoencoder, pictures: Tensor, tmp_path: Path
) -> None:
    model.use_detector(build_classifier())
    model.calibration = Calibration(
        scores={name: torch.linspace(0, 9, 10) for name in model.scores},
        percentile=90.0,
        latent_mean=torch.zeros(LATENT_WIDTH),
        latent_deviation=torch.ones(LATENT_WIDTH),
        mixture=None,
        detector=model.detector,
    )
    checkpoint = write_checkpoint(
        tmp_path / "small",
        model,
        model.calibration,
        family_id="autoencoders/vanilla",
        config=VanillaConfig(input_shape=(1, SIDE, SIDE), hidden_widths=(8,), latent_width=LATENT_WIDTH),
        codec={"modality": "image", "shape": [1, SIDE, SIDE]},
        licence="none",
        dtype=torch.float32,
    )
    read = cast("Autoencoder", load_model(checkpoint))
    assert read.scores == (OUTLIER, "mse", "mae")
    assert isinstance(read.detector, OutlierClassifier)
    for name, tensor in vars(model.detector).items():
        assert torch.equal(getattr(read.detector, name), tensor)
    requests = [DetectAnomaliesRequest(item=picture) for picture in pictures]
    found, expected = detect_anomalies(read, requests), detect_anomalies(model, requests)
    assert [result.score for result in found] == [result.score for result in expected]
    assert len({result.score for result in found}) == len(pictures)
    by_error = detect_anomalies(read, [DetectAnomaliesRequest(item=pictures[0], score="mse")])
    assert by_error[0].score == pytest.approx(float((model(pictures[:1]) - pictures[0]).square().mean()))


def test_its_tensors_have_names_of_their_own(model: Autoencoder) -> None:
    calibration = Calibration(
        scores={}, percentile=90.0, latent_mean=torch.zeros(3), latent_deviation=torch.ones(3), mixture=None
    )
    assert Calibration.from_tensors(load(calibration.to_bytes())).detector is None
    calibration = Calibration(
        scores={},
        percentile=90.0,
        latent_mean=torch.zeros(3),
        latent_deviation=torch.ones(3),
        mixture=None,
        detector=build_classifier(),
    )
    names = {name.partition(".")[2] for name in calibration.tensors() if name.startswith("outlier_classifier.")}
    assert names == set(vars(build_classifier()))
