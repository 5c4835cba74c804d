"""Nearest neighbours, by differences and by way of matrix products."""

import pytest
import torch

from models.autoencoding import neighbours
from models.autoencoding.neighbours import MAX_EXACT_ELEMENTS, distances_among, nearest


@pytest.mark.parametrize("n_elements", [3, MAX_EXACT_ELEMENTS + 1, 200])
@pytest.mark.parametrize("n_references", [1, 4, 17, 500])
def test_the_nearest_are_those_of_all_distances(n_elements: int, n_references: int) -> None:
    generator = torch.Generator().manual_seed(n_elements)
    points = torch.randn(40, n_elements, generator=generator)
    references = torch.randn(n_references, n_elements, generator=generator)
    references[0] = points[0]
    distances = (points[:, None] - references).double().norm(dim=2)
    expected, indices = distances.topk(min(5, n_references), largest=False)
    found = nearest(points, references, 5)
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(found[1], indices)
    assert found[0][0, 0] == 0


def test_small_distances_from_far_points_are_exact() -> None:
    references = torch.full((100, 64), 40.0)
    references[:, 0] += torch.arange(100) * 1e-3
    (distances,), (indices,) = nearest(references[50:51], references, 3)
    assert distances[0] == 0
    assert distances[1] == pytest.approx(1e-3, rel=0.01)
    assert indices[0] == 50


def test_distances_among_points_leave_out_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert distances_among(points, 2, at_once=3).tolist() == [2.0, 1.5, 2.5, 5.0]
    monkeypatch.setattr(neighbours, "MAX_EXACT_ELEMENTS", 0)
    assert distances_among(points.repeat(1, 1), 9, at_once=2).tolist() == pytest.approx([11 / 3, 3.0, 3.0, 17 / 3])
