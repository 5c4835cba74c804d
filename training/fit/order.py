"""The order of rows: the column of their times, the series that they are of, and even steps without long gaps.

Shapes: `n` rows, `T` even steps of a segment, `E` elements of a row.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import runs_of
from models.codecs.table.time_axis import MAX_JITTER, TimeAxis, seconds_from, to_even_steps
from training.errors import DataError
from training.fit.table_file import Table, is_number

MIN_SAME_STEP = 0.9
"""Share of the distances between times that must be equal for a table to be taken as a series by itself."""
SAME_STEP_TOLERANCE = 0.1


@dataclass(frozen=True)
class Segment:
    """Rows without a gap in time as even steps `[T, E]`, and whether each step is a labelled anomaly, `[T]`.

    `is_suspect` tells whether it looks like one without a label, `[T]`.
    """

    steps: Tensor
    is_anomaly: NDArray[np.bool_]
    is_suspect: NDArray[np.bool_]

    def normal_parts(self, length: int) -> list[tuple[int, int]]:
        """Return the first step and the one behind the last of each normal stretch of at least `length` steps."""
        normal = runs_of(~(self.is_anomaly | self.is_suspect))
        return [(first, end) for first, end in normal if end - first >= length]


@dataclass(frozen=True)
class Group:
    """The rows of one key in the order of time, and their times in seconds; without times, None."""

    rows: NDArray[np.int64]
    seconds: NDArray[np.float64] | None


def find_time_column(table: Table, key: str | None) -> str | None:
    """Return the column of dates that rise in nearly equal steps, for each value of the key; None if there is none."""
    keys = [None] * len(table) if key is None else table.columns.get(key, [None] * len(table))
    is_next = np.array([first == second for first, second in itertools.pairwise(keys)], dtype=bool)
    for name, cells in table.columns.items():
        try:
            seconds = [seconds_from(cell) for cell in cells if cell is not None and not is_number(cell)]
        except ValueError:
            continue
        if len(seconds) != len(table) or is_next.sum() < 2:
            continue
        distances = np.diff(seconds)[is_next]
        step = float(np.median(distances))
        is_even = np.abs(distances - step) <= SAME_STEP_TOLERANCE * step
        if step > 0 and (distances > 0).all() and is_even.mean() >= MIN_SAME_STEP:
            return name
    return None


def groups_of(table: Table, time: str | None, key: str | None) -> Iterator[Group]:
    """Return the rows of each key, sorted by time.

    Raises:
        DataError: a time is none, or equal to that of another row of the same key.
    """
    keys = [None] * len(table) if key is None else table.columns[key]
    seconds = None if time is None else _seconds(table, time)
    places: dict[str | None, list[int]] = {}
    for row, value in enumerate(keys):
        places.setdefault(value, []).append(row)
    for group in places.values():
        rows = np.array(group)
        if seconds is None:
            yield Group(rows, None)
            continue
        rows = rows[np.argsort(seconds[rows], kind="stable")]
        same = np.flatnonzero(np.diff(seconds[rows]) == 0)
        if len(same):
            first, second = (table.lines[rows[place]] for place in (same[0], same[0] + 1))
            advice = "name the column that tells several series apart with --key" if key is None else "leave one out"
            raise DataError(f"the lines {first} and {second} have the same time in {time!r}; {advice}")
        yield Group(rows, seconds[rows])


def _seconds(table: Table, name: str) -> NDArray[np.float64]:
    cells = table.columns[name]
    axis = TimeAxis(name, 1.0, is_irregular=True, max_gap=1)
    seconds = []
    for cell, line in zip(cells, table.lines, strict=True):
        try:
            seconds.append(axis.seconds_of([cell])[0])
        except ValueError:
            raise DataError(f"line {line}: {cell!r} in the column {name!r} is no time") from None
    return np.array(seconds)


def time_axis_of(name: str, groups: Sequence[Group]) -> TimeAxis:
    """Return the axis whose step is the usual distance of two rows; irregular if rows lie off the even steps."""
    distances = np.concatenate([np.diff(group.seconds) for group in groups if group.seconds is not None])
    if not len(distances):
        raise DataError(f"the column {name!r} has no two times of one series")
    step = _usual_step(distances)
    ratios = distances / step
    is_irregular = bool((np.abs(ratios - np.round(ratios)) > MAX_JITTER).any() or (np.round(ratios) < 1).any())
    if not is_irregular:  # the distances may be even while they add up to another step
        for group in groups:
            places = (group.seconds - group.seconds[0]) / step if group.seconds is not None else np.zeros(1)
            is_irregular |= bool((np.abs(places - np.round(places)) > MAX_JITTER).any())
    return TimeAxis(name, step, is_irregular, max_gap=1)


def _usual_step(distances: NDArray[np.float64]) -> float:
    """Return the mean step in the distances `[n]` of times, of which most are one step and some are several.

    It is rounded to six digits where the error would not add up to a tenth of a step.
    """
    n_steps = np.round(distances / np.median(distances))
    step = float(distances[n_steps >= 1].sum() / n_steps[n_steps >= 1].sum())
    rounded = float(f"{step:.6g}")
    return rounded if abs(rounded - step) * len(distances) < step / 10 else step


def segments_of(
    group: Group, elements: NDArray[np.float64], is_anomaly: NDArray[np.bool_], axis: TimeAxis | None
) -> Iterator[Segment]:
    """Return the rows of a group as even steps, cut where the gap in time is too long to be bridged."""
    if axis is None or group.seconds is None:
        yield _segment(elements[group.rows], is_anomaly[group.rows])
        return
    cuts = np.flatnonzero(np.diff(group.seconds) > (axis.max_gap + MAX_JITTER) * axis.step_s) + 1
    for rows, seconds in zip(np.split(group.rows, cuts), np.split(group.seconds, cuts), strict=True):
        try:
            places = axis.steps_of(seconds.tolist())
        except ValueError as error:
            raise DataError(f"the times do not fit the steps: {error} of the rows from {seconds[0]}") from error
        steps, rows_to_steps = to_even_steps(elements[rows], places, gaps=False)
        flags = np.zeros(len(steps), dtype=bool)
        flags[rows_to_steps[is_anomaly[rows]]] = True
        yield _segment(steps, flags)


def _segment(steps: NDArray[np.float64], is_anomaly: NDArray[np.bool_]) -> Segment:
    contiguous = torch.from_numpy(np.ascontiguousarray(steps)).float()
    return Segment(contiguous, is_anomaly, np.zeros(len(steps), dtype=bool))
