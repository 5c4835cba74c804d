"""Detectors whose scales come from a cross-validation."""

import pytest
import torch
from torch import Tensor

from models.autoencoders.recurrent import FAMILY
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.detector import COMBINED, NEIGHBOURS, Detector
from training.calibrate import Scored, add_detectors, calibrate
from training.metrics import anomaly_scores

N_FOLDS, N_SERIES = 3, 90


def new_model(seed: int) -> Autoencoder:
    torch.manual_seed(seed)
    return FAMILY.new_model(FAMILY.tiny[0]).eval().requires_grad_(False)  # type: ignore[return-value]


def waves(n: int, seed: int) -> list[Tensor]:
    """Return noisy sine waves of seven steps with random phases."""
    draws = torch.Generator().manual_seed(seed)
    steps = torch.arange(7) + 6 * torch.rand(n, 1, generator=draws)
    return list((steps.sin() + 0.3 * torch.randn(n, 7, generator=draws))[:, :, None])


@pytest.fixture(scope="module")
def normal() -> list[Tensor]:
    return waves(N_SERIES, 0)


@pytest.fixture(scope="module")
def model() -> Autoencoder:
    return new_model(0)


@pytest.fixture(scope="module")
def scored(model: Autoencoder, normal: list[Tensor]) -> Scored:
    scored = [(new_model(1 + fold), normal[fold::N_FOLDS]) for fold in range(N_FOLDS)]
    add_detectors(model, normal, scored)
    return scored


@pytest.fixture(scope="module")
def calibration(model: Autoencoder, normal: list[Tensor], scored: Scored) -> Calibration:
    return calibrate(model, normal, scored, percentile=90.0, n_components=2)


def detector_of(model: Autoencoder) -> Detector:
    assert isinstance(model.detector, Detector)
    return model.detector


def test_each_model_compares_with_the_series_that_it_was_trained_on(
    model: Autoencoder, normal: list[Tensor], scored: Scored
) -> None:
    assert model.scores[0] == COMBINED
    assert torch.equal(detector_of(model).items, torch.stack(normal))
    for fold, (scorer, _) in enumerate(scored):
        kept = torch.stack([item for i, item in enumerate(normal) if i % N_FOLDS != fold])
        assert torch.equal(detector_of(scorer).items, kept)


def test_usual_errors_are_those_of_series_that_a_model_was_not_trained_on(model: Autoencoder, scored: Scored) -> None:
    with torch.inference_mode():
        squares = [
            torch.stack([(item - other).square().flatten() for item, other in zip(held_out, restored, strict=True)])
            for scorer, held_out in scored
            for restored in [scorer.reconstructions_of(held_out)]
        ]
    expected = torch.cat(squares).mean(0)  # the folds are of one size
    for each in (model, *(scorer for scorer, _ in scored)):
        torch.testing.assert_close(detector_of(each).element_errors, expected)
        assert torch.equal(detector_of(each).scales, detector_of(model).scales)


def test_no_series_of_the_calibration_is_compared_with_itself(
    model: Autoencoder, normal: list[Tensor], scored: Scored, calibration: Calibration
) -> None:
    assert len(calibration.scores[COMBINED]) == N_SERIES
    assert float(calibration.scores[NEIGHBOURS].mean()) > 1.2 * float(anomaly_scores(model, normal, NEIGHBOURS).mean())


def test_new_series_score_like_those_of_the_calibration_and_others_higher(
    model: Autoencoder, calibration: Calibration
) -> None:
    threshold = calibration.threshold(COMBINED, 90.0)
    new = anomaly_scores(model, waves(200, 1), COMBINED)
    noise = list(2 * torch.randn(50, 7, 1, generator=torch.Generator().manual_seed(2)))
    assert 0.02 < float((new > threshold).double().mean()) < 0.25
    assert float((anomaly_scores(model, noise, COMBINED) > threshold).double().mean()) > 0.9
