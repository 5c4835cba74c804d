"""Histograms of the columns of a table.

Shapes: `n` rows, `W` elements of a row, `C` columns, `K` bins of the column that has most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.codecs.arrays import Floats
from models.codecs.table.codec import TableCodec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, Column, NumberColumn

N_NUMBER_BINS, N_CYCLE_BINS = 10, 8
"""Bins of numbers, which are deciles, and of the first cycle of dates."""
Bins = NDArray[np.int64]


@dataclass(frozen=True)
class Histograms:
    """Histograms of rows by column.

    Attributes:
        edges: for each column the borders between the bins of numbers, `[C, 9]`; zeros for other columns.
        shares: the share of the rows in each bin, `[C, K]`; zeros where a column has fewer bins.
    """

    edges: NDArray[np.float64]
    shares: NDArray[np.float64]


def histograms_of(codec: TableCodec, rows: Floats) -> Histograms:
    """Return the histograms of rows `[n, W]`, whose deciles become the borders between the bins of numbers."""
    edges = np.zeros((len(codec.columns), N_NUMBER_BINS - 1))
    for index, column in enumerate(codec.columns):
        if isinstance(column, NumberColumn):
            place = codec.places[column.name]
            observed = rows[rows[:, place.stop] < 0.5] if column.has_gaps else rows
            if len(observed):
                edges[index] = _deciles(observed[:, place.start])
    bins = bins_of(codec, rows, edges)
    return Histograms(edges, shares_of(bins, max(map(n_bins_of, codec.columns))))


def _deciles(numbers: Floats) -> NDArray[np.float64]:
    """Return the deciles of numbers `[n]`, each halfway to the next number, so that rounding moves no number."""
    values = np.unique(numbers)
    deciles: NDArray[np.float64] = np.quantile(numbers, np.arange(1, N_NUMBER_BINS) / N_NUMBER_BINS)
    above = np.searchsorted(values, deciles, side="right").clip(1, len(values) - 1)
    halfway: NDArray[np.float64] = (values[above - 1] + values[above]) / 2
    return halfway if len(values) > 1 else deciles


def bins_of(codec: TableCodec, rows: Floats, edges: Floats) -> Bins:
    """Return the bin of each column of rows `[n, W]`, `[n, C]`; a gap is in the last bin of its column."""
    bins = np.zeros((len(rows), len(codec.columns)), dtype=np.int64)
    for index, column in enumerate(codec.columns):
        place = codec.places[column.name]
        bins[:, index] = _bins_of_column(column, rows[:, place], edges[index])
        if column.has_gaps:
            bins[rows[:, place.stop] > 0.5, index] = n_bins_of(column) - 1
    return bins


def shares_of(bins: Bins, n_bins: int) -> NDArray[np.float64]:
    """Return the share of the rows in each bin, `[C, K]`, of bins `[n, C]`."""
    counts = [np.bincount(column, minlength=n_bins)[:n_bins] for column in bins.T]
    return np.stack(counts) / max(len(bins), 1)


def n_bins_of(column: Column) -> int:
    """Return the number of bins of a column, with that of gaps if it has some."""
    n_bins = N_CYCLE_BINS
    if isinstance(column, NumberColumn):
        n_bins = N_NUMBER_BINS
    elif isinstance(column, BooleanColumn):
        n_bins = 2
    elif isinstance(column, CategoryColumn):
        n_bins = column.width
    return n_bins + column.has_gaps


def _bins_of_column(column: Column, elements: Floats, edges: Floats) -> Bins:
    if isinstance(column, NumberColumn):
        return np.searchsorted(edges, elements[:, 0], side="right")
    if isinstance(column, BooleanColumn):
        return (elements[:, 0] > 0.5).astype(np.int64)
    if isinstance(column, CategoryColumn):
        places: Bins = elements.argmax(1)
        return places
    place = np.arctan2(elements[:, 0], elements[:, 1]) / (2 * np.pi) % 1
    return np.minimum(place * N_CYCLE_BINS, N_CYCLE_BINS - 1).astype(np.int64)
