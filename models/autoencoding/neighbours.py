"""Nearest neighbours among reference points.

Shapes: `B` points, `R` reference points, `E` elements of a point, `K` neighbours.
"""

import torch
from torch import Tensor

MAX_EXACT_ELEMENTS = 32
"""Most elements for which all distances are computed as differences; with more, matrix products choose candidates."""
N_CANDIDATES = 16
"""Number of reference points whose distances are computed exactly, after matrix products have chosen them."""


def nearest(points: Tensor, references: Tensor, n_neighbours: int) -> tuple[Tensor, Tensor]:
    """Return the Euclidean distances of `[B, E]` from the K nearest of `[R, E]`, and their indices: both `[B, K]`.

    The distances are exact also where they are small, as they are not if a matrix product computes them. There are as
    many neighbours as reference points if there are fewer of these.
    """
    n_neighbours = min(n_neighbours, len(references))
    if points.shape[1] <= MAX_EXACT_ELEMENTS or len(references) <= N_CANDIDATES:
        distances = torch.cdist(points, references, compute_mode="donot_use_mm_for_euclid_dist")
        found = distances.topk(n_neighbours, largest=False)
        return found.values, found.indices
    centre = references.mean(0)  # products of small numbers lose less
    rough = torch.cdist(points - centre, references - centre, compute_mode="use_mm_for_euclid_dist")
    candidates = rough.topk(max(N_CANDIDATES, n_neighbours), largest=False).indices
    distances = torch.stack([(points - references[column]).norm(dim=1) for column in candidates.unbind(1)], 1)
    found = distances.topk(n_neighbours, largest=False)
    return found.values, candidates.gather(1, found.indices)


def mean_distances(points: Tensor, references: Tensor, n_neighbours: int, at_once: int) -> Tensor:
    """Return the mean distance of each of `[B, E]` from the K nearest of `[R, E]`, `[B]`.

    Args:
        points: the points.
        references: the points that are compared with.
        n_neighbours: number of neighbours.
        at_once: number of points whose distances are computed together.
    """
    parts = (nearest(few, references, n_neighbours)[0] for few in torch.split(points, at_once))
    return torch.cat([part.mean(1) for part in parts])


def distances_among(points: Tensor, n_neighbours: int, at_once: int) -> Tensor:
    """Return the mean distance of each of `[R, E]` from its nearest neighbours among the others, `[R]`.

    Args:
        points: the points, of which there are at least two.
        n_neighbours: number of neighbours.
        at_once: number of points whose distances are computed together.
    """
    parts = (nearest(few, points, n_neighbours + 1)[0][:, 1:] for few in torch.split(points, at_once))
    return torch.cat([part.mean(1) for part in parts])  # without the first, since each is the nearest to itself
