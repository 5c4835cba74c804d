"""How far the items of requests have moved away from those that a model was fitted to.

Shapes: `n` items, `W` elements of a row, `C` columns, `K` bins of the column that has most.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import Floats
from models.codecs.table import TableCodec
from models.codecs.table.histograms import bins_of, shares_of

WINDOW, MIN_ITEMS = 1000, 100
"""Number of the last items that count, and the least from which anything is told."""
LOW_P_VALUE = 0.01
"""P-values below it count as low; normal items have one with this probability."""
MIN_SHARE = 1e-3
"""Share that an empty bin is taken to have, so that its logarithm is finite."""


@dataclass(frozen=True, kw_only=True)
class DriftReference:
    """Histograms of the rows that a model was fitted to; see `models.codecs.table.histograms.Histograms`.

    Attributes:
        edges: the borders between the bins of numbers, `[C, 9]`.
        shares: the share of the rows in each bin, `[C, K]`.
    """

    edges: Tensor
    shares: Tensor


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far the last items have moved.

    Attributes:
        n_items: how many of the last items were looked at.
        low_p_share: the share of them whose p-value is below `LOW_P_VALUE`.
        stability_index: the population stability index of each column; empty for items without columns.
    """

    n_items: int
    low_p_share: float
    stability_index: Mapping[str, float]


class DriftMonitor:
    """Looks at the last items that a model has scored. Its methods may be called on any thread."""

    def __init__(self, codec: TableCodec | None = None, reference: DriftReference | None = None) -> None:
        """Compare the columns of rows with a reference; without one, look at the p-values alone."""
        self._codec, self._reference = codec, reference
        n_columns = len(codec.columns) if codec is not None and reference is not None else 0
        self._bins = np.zeros((WINDOW, n_columns), dtype=np.int64)
        self._p_values = np.ones(WINDOW)
        self._n_seen = 0
        self._lock = threading.Lock()

    def observe(self, rows: Floats | None, p_values: NDArray[np.float64]) -> None:
        """Look at items: their rows `[n, W]`, if they are rows or series of rows, and their p-values `[n]`."""
        recent = p_values[-WINDOW:]
        bins = None
        if rows is not None and self._codec is not None and self._reference is not None:
            bins = bins_of(self._codec, rows[-WINDOW:], self._reference.edges.numpy())
        with self._lock:
            places = (self._n_seen + np.arange(len(recent))) % WINDOW
            self._p_values[places] = recent
            if bins is not None:
                self._bins[places] = bins
            self._n_seen += len(recent)

    def read(self) -> Drift | None:
        """Return how far the last items have moved; None if there were too few."""
        with self._lock:
            n_items = min(self._n_seen, WINDOW)
            bins, p_values = self._bins[:n_items].copy(), self._p_values[:n_items].copy()
        if n_items < MIN_ITEMS:
            return None
        index: dict[str, float] = {}
        if self._codec is not None and self._reference is not None:
            expected = self._reference.shares.double().numpy()
            found = stability_index(expected, shares_of(bins, expected.shape[1]))
            index = dict(zip((column.name for column in self._codec.columns), found.tolist(), strict=True))
        low = float((p_values < LOW_P_VALUE).mean())
        return Drift(n_items=n_items, low_p_share=low, stability_index=index)


def stability_index(expected: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the population stability index of each column, `[C]`, of shares `[C, K]`.

    It is the sum of (found - expected) ln(found / expected) over the bins: below 0.1 little has changed, and above 0.25
    much. Source: Siddiqi, Credit Risk Scorecards, 2006, chapter 9.
    """
    expected, found = np.maximum(expected, MIN_SHARE), np.maximum(found, MIN_SHARE)
    sums: NDArray[np.float64] = ((found - expected) * np.log(found / expected)).sum(1)
    return sums
