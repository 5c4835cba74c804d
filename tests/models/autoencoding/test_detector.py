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
    MAX_MOVEMENT,
    MOVEMENT,
    N_NEIGHBOURS,
    NEIGHBOURS,
    STILL,
    WEIGHTS,
    Detector,
    fit_detector,
    movement_of,
)


class Halving:
    """Latents are items as vectors, and reconstructions are half of an item."""

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(items)).flatten(1)

    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> Sequence[Tensor]:
        return [latent.view(shape) / 2 for latent, shape in zip(latents, shapes, strict=True)]


@pytest.fixture(scope="module")
def items() -> list[Tensor]:
    return list(torch.randn(400, 3, 2, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def detector(items: list[Tensor]) -> Detector:
    return fit_detector(items[:300], items[300:], Halving())


@pytest.fixture(scope="module")
def window_detector(items: list[Tensor]) -> Detector:
    return fit_detector(items[:300], items[300:], Halving(), are_windows=True)


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


@pytest.mark.parametrize("fixture", ["detector", "window_detector"])
def test_the_sum_has_the_weights(fixture: str, items: list[Tensor], request: pytest.FixtureRequest) -> None:
    detector: Detector = request.getfixturevalue(fixture)
    names = detector.score_names[1:]
    assert (MOVEMENT in names) == (fixture == "window_detector")
    parts = {
        name: scores(detector, name, items[:50]) / scale for name, scale in zip(names, detector.scales, strict=True)
    }
    if MOVEMENT in parts:
        parts[MOVEMENT] = parts[MOVEMENT].clamp(max=MAX_MOVEMENT)
    expected = sum(WEIGHTS[name] * part for name, part in parts.items())
    torch.testing.assert_close(scores(detector, COMBINED, items[:50]), expected)


def test_movement_counts_only_so_much(window_detector: Detector) -> None:
    still = [torch.zeros(3, 2)]
    alone, combined = scores(window_detector, MOVEMENT, still), scores(window_detector, COMBINED, still)
    assert alone / window_detector.scales[3] > MAX_MOVEMENT
    assert combined < MAX_MOVEMENT + 4


def test_a_stuck_value_is_near_in_all_but_its_movement() -> None:
    generator = torch.Generator().manual_seed(1)
    windows = list(torch.randn(400, 40, 2, generator=generator))
    detector = fit_detector(windows[:300], windows[300:], Halving(), are_windows=True)
    stuck = windows[399].clone()
    stuck[:, 1] = 0.0
    for name, is_strange in ((NEIGHBOURS, False), (ERROR, False), (MOVEMENT, True), (COMBINED, True)):
        normal, (found,) = scores(detector, name, windows[300:]), scores(detector, name, [stuck])
        assert bool(found > normal.max()) == is_strange, name
    (parts,) = detector.contributions(MOVEMENT, [stuck], Halving())
    assert parts[:, 1].sum() > 0.9 * parts.sum()
    assert torch.allclose(parts, parts[:1].expand_as(parts))


def test_movement_is_that_of_plain_numpy(items: list[Tensor]) -> None:
    window = items[0].numpy().astype(np.float64)
    steps = np.sqrt((np.diff(window, axis=0) ** 2).mean(0))
    expected = np.concatenate([window.mean(0), np.log(window.std(0) + STILL), np.log(steps + STILL)])
    np.testing.assert_allclose(movement_of(items[0][None])[0], expected, rtol=1e-5)


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


@pytest.mark.parametrize("fixture", ["detector", "window_detector"])
def test_it_survives_the_file_of_the_calibration(fixture: str, request: pytest.FixtureRequest) -> None:
    detector: Detector = request.getfixturevalue(fixture)
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
        assert (getattr(read, name) is None) if tensor is None else torch.equal(getattr(read, name), tensor)


def test_as_few_items_as_neighbours_are_enough(items: list[Tensor]) -> None:
    detector = fit_detector(items[:3], items[3:9], Halving())
    assert scores(detector, COMBINED, items[:9]).isfinite().all()
