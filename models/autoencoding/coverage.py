"""Scores of steps that few windows contain, made comparable with those of steps that many contain.

The score of a step is the least of the scores of its windows. At the ends of a series, or in one that is hardly longer
than a window, a step is in few windows, and the least of few scores is greater than that of many. Normal series show by
how much.

Shapes: `T` steps of a series, `N` windows of a series, `K` windows that contain a step amid a long series, `Q` scores.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_SCORES = 1024
"""Most scores that are kept for each number of windows."""


def least_scores(window_scores: Sequence[Tensor], n_per_step: int) -> Tensor:
    """Return what the scores of steps of normal series are, by the number of windows that contain the step: `[K, Q]`.

    The scores for `k` windows, in the row `k - 1`, are in ascending order.

    Args:
        window_scores: for each series, the scores of its windows in their order, `[N]`.
        n_per_step: the number K.
    """
    levels = torch.linspace(0, 1, min(MAX_SCORES, sum(map(len, window_scores))), dtype=torch.float64)
    rows = []
    for k in range(1, n_per_step + 1):
        runs = [scores.double().unfold(0, min(k, len(scores)), 1).amin(1) for scores in window_scores]
        rows.append(torch.cat(runs).quantile(levels))
    return torch.stack(rows).float()


def as_amid(scores: Tensor, n_windows: Tensor, least: Tensor) -> Tensor:
    """Return the scores `[T]` as they would be if the K windows of a long series contained each step, `[T]`.

    A score that as many normal steps in `n_windows` windows exceed becomes the one that as many exceed in K windows.
    Scores above all of these grow in proportion.

    Args:
        scores: the least scores of the windows of each step.
        n_windows: the number of windows that contain each step, `[T]`; more than K count as K.
        least: what `least_scores` returned, `[K, Q]`.
    """
    n_windows, found = n_windows.clamp(max=len(least)), scores.clone()
    for k in set(n_windows.tolist()):
        if k < len(least):
            mapped = _mapped(scores[n_windows == k].double().numpy(), least[k - 1].double().numpy(), least[-1].numpy())
            found[n_windows == k] = torch.from_numpy(mapped).to(scores.dtype)
    return found


def _mapped(values: NDArray[np.float64], own: NDArray[np.float64], amid: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the quantiles of `amid` that the values are in `own`, both ascending."""
    inside = np.interp(values, np.insert(own, 0, 0.0), np.insert(amid.astype(np.float64), 0, 0.0))
    tiny = np.finfo(np.float64).tiny
    return np.where(values > own[-1], values * (amid[-1] / max(own[-1], tiny)), inside)
