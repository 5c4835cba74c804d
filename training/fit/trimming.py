"""Find what looks like anomalies in a user's own data, before a model is fitted to the rest.

Nobody knows that all rows of a file are normal. Models of one half of the data score the other half, and what lies far
above all else is left out.

Shapes: `N` items or steps.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.autoencoding.detector import ROWS_AT_ONCE
from models.autoencoding.neighbours import mean_distances
from training.fit.outliers import outliers
from training.fit.training import Split

N_NEIGHBOURS = 20
"""Number of nearest rows from which a row's distance counts. Fewer anomalies that are alike do not hide each other."""
MAX_COMPARED = 4096
"""Most rows that a row is compared with."""
ScoreOthers = Callable[[Split], Tensor]
"""Trains a model on the training items of a split, and returns the scores of its calibration items or their steps."""


def strangest(rows: Tensor, share: float, seed: int) -> Tensor:
    """Return the share of the rows `[N, ...]` that are farthest from others, `[N]`.

    It is the mean distance from the nearest rows of the other half of the data that counts.
    """
    points = rows.flatten(1)
    distances = torch.zeros(len(rows))
    for mine, others in halves_of(len(rows), seed):
        distances[mine] = mean_distances(points[mine], points[others[:MAX_COMPARED]], N_NEIGHBOURS, ROWS_AT_ONCE)
    return outliers(distances, share)


def halves_of(n: int, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return each random half of the numbers from 0 to `n`, with the other half behind it."""
    first, second = torch.tensor_split(torch.randperm(n, generator=torch.Generator().manual_seed(seed)), 2)
    return (first, second), (second, first)


def find_suspects(halves: Sequence[Split], score: ScoreOthers, contamination: float | str) -> list[Tensor]:
    """Return for each split which of its calibration items, or their steps, are suspected of being anomalies, `[N]`."""
    return [outliers(score(half), contamination) for half in halves]
