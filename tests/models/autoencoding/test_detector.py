"""Anomaly scores that compare an item with those that the model was trained on."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from models.autoencoding.calibration import Calibration
from models.autoencoding.detector import (
    COMBINED,
    DETECTOR_SCORES,
    ERROR,
    LATENTS,
    N_NEIGHBOURS,
    NEIGHBOURS,
    WEIGHTS,
    Detector,
    fit_detector,
)


class Halving:
    """Latents are the first two elements, and reconstructions are half of an item."""

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(items)).flatten(1)[:, :2]

    def reconstructions_of(self, items: Sequence[Tensor]) -> Sequence[Tensor]:
        return [item / 2 for item in items]


@pytest.fixture(scope="module")
def items() -> list[Tensor]:
    return list(torch.randn(400, 3, 2, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def detector(items: list[Tensor]) -> Detector:
    return fit_detector(items[:300], items[300:], Halving())


def scores(detector: Detector, score: str, items: Sequence[Tensor]) -> Tensor:
    parts = detector.contributions(score, items, Halving())
    assert [part.shape for part in parts] == [item.shape for item in items]
    return torch.stack([part.sum() for part in parts])


def test_the_distance_is_that_of_plain_numpy(detector: Detector, items: list[Tensor]) -> None:
    reference = np.stack([item.numpy().ravel() for item in items[:300]]).astype(np.float64)

    def nearest(item: NDArray[np.float64], k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        found = np.sqrt(((reference - item) ** 2).sum(1))
        order = np.argsort(found)[:k]
        return found[order], order

    spreads = np.array([nearest(item, N_NEIGHBOURS + 1)[0][1:].mean() for item in reference])
    expected = []
    for item in items[300:320]:
        found, order = nearest(item.numpy().ravel(), N_NEIGHBOURS)
        expected.append(found.mean() / (spreads[order].mean() + spreads.mean()))
    np.testing.assert_allclose(scores(detector, NEIGHBOURS, items[300:320]), expected, rtol=1e-4)


def test_the_error_is_in_units_of_each_element(detector: Detector, items: list[Tensor]) -> None:
    usual = torch.stack(items[300:]).flatten(1).square().mean(0) / 4
    usual += 0.01 * usual.mean()
    expected = (torch.stack(items[:9]).flatten(1).square() / 4 / usual).mean(1).sqrt()
    torch.testing.assert_close(scores(detector, ERROR, items[:9]), expected)


def test_the_sum_has_the_weights(detector: Detector, items: list[Tensor]) -> None:
    parts = [scores(detector, name, items[:50]) for name in (NEIGHBOURS, LATENTS, ERROR)]
    expected = sum(weight * part / scale for weight, part, scale in zip(WEIGHTS, parts, detector.scales, strict=True))
    torch.testing.assert_close(scores(detector, COMBINED, items[:50]), expected)


@pytest.mark.parametrize("score", DETECTOR_SCORES)
def test_far_items_score_higher_and_copies_are_finite(score: str, detector: Detector, items: list[Tensor]) -> None:
    near, far = scores(detector, score, items[300:]), scores(detector, score, [item + 9 for item in items[300:]])
    assert far.min() > near.quantile(0.95)
    copies = scores(detector, score, [items[0], torch.zeros(3, 2), torch.full((3, 2), 1e15)])
    assert copies.isfinite().all()


def test_most_normal_items_stay_below_the_scales(detector: Detector, items: list[Tensor]) -> None:
    for place, name in enumerate((NEIGHBOURS, LATENTS, ERROR)):
        share = (scores(detector, name, items[300:]) <= detector.scales[place]).double().mean()
        assert share == pytest.approx(0.9, abs=0.02)


def test_it_survives_the_file_of_the_calibration(detector: Detector) -> None:
    calibration = Calibration(
        scores={COMBINED: torch.arange(5.0)},
        percentile=99.0,
        latent_mean=torch.zeros(2),
        latent_deviation=torch.ones(2),
        mixture=None,
        detector=detector,
    )
    read = Calibration.from_tensors(load(calibration.to_bytes())).detector
    assert read is not None
    for name, tensor in vars(detector).items():
        assert torch.equal(getattr(read, name), tensor)


def test_as_few_items_as_neighbours_are_enough(items: list[Tensor]) -> None:
    detector = fit_detector(items[:3], items[3:9], Halving())
    assert scores(detector, COMBINED, items[:9]).isfinite().all()
