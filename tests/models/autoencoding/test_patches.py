"""The patch score of pictures, against loops over all patches."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.autoencoding.detector import PATCH, Detector, fit_detector
from models.autoencoding.patches import MAX_SHIFT, PATCH_SIDE, patch_contributions

Picture = NDArray[np.float64]


def expected_score(picture: Picture, similar: list[Picture]) -> float:
    """Return the distance of the most distant patch of `[C, H, W]`, found patch by patch."""
    _, height, width = picture.shape
    padded = [np.pad(each, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT)), mode="edge") for each in similar]
    greatest = 0.0
    for y, x in itertools.product(range(height - PATCH_SIDE + 1), range(width - PATCH_SIDE + 1)):
        patch = picture[:, y : y + PATCH_SIDE, x : x + PATCH_SIDE]
        others = [
            each[:, y + dy : y + dy + PATCH_SIDE, x + dx : x + dx + PATCH_SIDE]
            for each in padded
            for dy, dx in itertools.product(range(2 * MAX_SHIFT + 1), repeat=2)
        ]
        greatest = max(greatest, min(float(np.mean((patch - other) ** 2)) for other in others))
    return float(greatest**0.5)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10_000),
    n_channels=st.sampled_from([1, 3]),
    height=st.integers(PATCH_SIDE, 9),
    width=st.integers(PATCH_SIDE, 9),
    n_similar=st.integers(1, 3),
)
def test_the_score_is_that_of_the_most_distant_patch(
    seed: int, n_channels: int, height: int, width: int, n_similar: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.random((n_channels, height, width))
    similar = [rng.random(picture.shape) for _ in range(n_similar)]
    contributions = patch_contributions(torch.from_numpy(picture)[None], torch.from_numpy(np.stack(similar))[None])
    assert contributions.shape == (1, picture.size)
    assert float(contributions.sum()) == pytest.approx(expected_score(picture, similar), rel=1e-9)
    assert int((contributions > 0).sum()) <= n_channels * PATCH_SIDE**2


def test_a_moved_picture_has_no_distance_and_equal_ones_are_not_divided_by_zero() -> None:
    picture = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(0))
    inner = torch.roll(picture, (1, -1), (1, 2))
    assert float(patch_contributions(picture[None], picture[None, None]).sum()) == 0.0
    moved = patch_contributions(inner[None, :, 2:7, 2:7], picture[None, None, :, 2:7, 2:7])
    assert moved.isfinite().all()


class Copies:
    """Networks whose latents are the corners of a picture, and whose pictures are grey."""

    def latents_of(self, items: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([item[0, :2, :2].flatten() for item in items])

    def items_of(self, latents: torch.Tensor, shapes: list[tuple[int, ...]]) -> list[torch.Tensor]:
        return [torch.full(shape, 0.5) for shape in shapes]


@pytest.fixture(scope="module")
def detector() -> Detector:
    generator = torch.Generator().manual_seed(1)
    stripes = (torch.arange(12) % 3 == 0).float().expand(1, 12, 12)
    pictures = [(stripes + 0.05 * torch.randn(1, 12, 12, generator=generator)).clamp(0, 1) for _ in range(60)]
    return fit_detector(pictures[:40], pictures[40:], Copies())  # type: ignore[arg-type]


def test_a_small_fault_is_where_the_score_comes_from(detector: Detector) -> None:
    assert detector.score_names[-1] == PATCH
    faulty = (torch.arange(12) % 3 == 0).float().repeat(1, 12, 1)
    faulty[0, 4:6, 7:9] = 0.9
    for score in (PATCH, detector.score_names[0]):
        (found,) = detector.contributions(score, [faulty], Copies())  # type: ignore[arg-type]
        assert found.shape == (1, 12, 12)
        assert float(found[0, 2:8, 5:11].sum()) > 0.5 * float(found.sum())
    (usual,) = detector.contributions(PATCH, [detector.items[3]], Copies())  # type: ignore[arg-type]
    (strange,) = detector.contributions(PATCH, [faulty], Copies())  # type: ignore[arg-type]
    assert float(strange.sum()) > 3 * float(detector.scales[-1])
    assert float(usual.sum()) < float(detector.scales[-1])
