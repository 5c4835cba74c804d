"""Tests of the metrics against their definitions."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from training.metrics import auroc, binarise, f1, frechet_distance, pca_error, psnr_db


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    scores = torch.tensor([float(score) for score, _ in rows])
    positive = torch.tensor([label for _, label in rows])
    pairs = list(itertools.product(scores[positive].tolist(), scores[~positive].tolist()))
    if pairs:
        expected = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)
        assert auroc(scores, positive) == pytest.approx(expected)


def test_f1_by_hand() -> None:
    predicted = torch.tensor([True, True, True, False, False])
    positive = torch.tensor([True, True, False, True, False])
    precision, recall = 2 / 3, 2 / 3
    assert f1(predicted, positive) == pytest.approx(2 * precision * recall / (precision + recall))


def principal_root(matrix: Tensor) -> Tensor:
    """Return the principal square root, from the eigenvectors of a matrix that need not be symmetric."""
    values, vectors = torch.linalg.eig(matrix)
    root: Tensor = (vectors @ torch.diag(values.sqrt()) @ torch.linalg.inv(vectors)).real
    return root


def test_the_frechet_distance_is_its_formula() -> None:
    torch.manual_seed(0)
    first = torch.randn(500, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64)
    second = torch.randn(300, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64) + 1
    c, d = torch.cov(first.T), torch.cov(second.T)
    expected = (first.mean(0) - second.mean(0)).square().sum() + (c + d - 2 * principal_root(c @ d)).trace()
    assert frechet_distance(first, second) == pytest.approx(expected.item())
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_spheres_is_that_of_means_and_deviations() -> None:
    draws = torch.randn(1000, 2, dtype=torch.float64)
    white = (draws - draws.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(draws.T))).T
    assert frechet_distance(white, 3 * white + 2) == pytest.approx(2 * (2**2 + (3 - 1) ** 2))


def test_pca_leaves_what_its_components_do_not_reach() -> None:
    torch.manual_seed(0)
    train = torch.randn(200, 6) @ torch.diag(torch.tensor([5.0, 4, 3, 2, 1, 0.5]))
    values = torch.linalg.eigvalsh(torch.cov(train.T, correction=0))
    for n in range(1, 7):
        assert pca_error(train, train, n) == pytest.approx(values[:-n].sum().item() / 6, rel=1e-3, abs=1e-6)


def test_binarised_pixels_are_ones_as_often_as_they_are_grey() -> None:
    images = torch.tensor([0.0, 0.25, 1.0]).expand(20_000, 3)
    torch.testing.assert_close(binarise(images, 1).mean(0), images[0], rtol=0, atol=0.01)
    assert torch.equal(binarise(images, 1), binarise(images, 1))
    assert not torch.equal(binarise(images, 1), binarise(images, 2))


def test_psnr_is_in_decibels() -> None:
    assert psnr_db(0.01) == pytest.approx(20)
    assert psnr_db(1.0) == pytest.approx(10 * math.log10(1))
