"""The column of times that puts rows in order, and the even steps that models see.

Shapes: `n` rows, `T` steps, `E` elements of a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.codecs.table.columns import number_from, show
from models.codecs.table.dates import EXAMPLE_DATE, MILLISECONDS_FROM, parse_date

MAX_JITTER = 0.25
"""Most steps by which a time may be off the even steps, if the steps are regular."""
MIN_EXAMPLE_STEP_S, MAX_EXAMPLE_S = 1e-3, 1e10
"""Shortest step of times in examples, and the longest series of them, in seconds: dates have microseconds, and end."""


@dataclass(frozen=True)
class TimeAxis:
    """Times as steps.

    Attributes:
        name: the name of the column.
        step_s: seconds between two steps.
        is_irregular: whether times may lie anywhere. Rows then become steps by linear interpolation.
        max_gap: most steps from one row to the next; the steps between them are interpolated.
    """

    name: str
    step_s: float
    is_irregular: bool
    max_gap: int

    def steps_of(self, times: Sequence[Any]) -> NDArray[np.float64]:
        """Return the place of each time in steps after the first, `[n]`.

        Raises:
            ValueError: a time is none, is not later than the one before it, lies off the even steps, or lies too far
                behind the one before it; the message names the row.
        """
        places = (self.seconds_of(times) - self.seconds_of(times[:1])) / self.step_s
        distances = np.diff(places)
        if self.is_irregular:
            too_close = distances <= 0
        else:
            offset = _offset(places)
            too_close = np.diff(np.round(places - offset)) <= 0
            off = np.abs(places - offset - np.round(places - offset)) > MAX_JITTER
            if off.any() and not too_close.any():
                row = int(np.argmax(off))
                raise ValueError(f"{self._row(times, row)} lies between the steps, which are {self.step_s:g} s apart")
            places = np.round(places - offset)
        if too_close.any():
            row = int(np.argmax(too_close)) + 1
            limit = "later" if self.is_irregular else f"a step of {self.step_s:g} s later"
            raise ValueError(f"{self._row(times, row)} must be {limit} than that of row {row - 1}")
        if (distances > self.max_gap + MAX_JITTER).any():
            row = int(np.argmax(distances > self.max_gap + MAX_JITTER)) + 1
            raise ValueError(
                f"{self._row(times, row)} is {distances[row - 1]:.0f} steps later than that of row {row - 1}, and at "
                f"most {self.max_gap} are bridged; send what lies before and behind such a gap as two series"
            )
        return places

    def example(self, n_rows: int) -> list[str]:
        """Return the times of as many rows, one step apart; none if dates cannot show them."""
        if not MIN_EXAMPLE_STEP_S <= self.step_s <= MAX_EXAMPLE_S / n_rows:
            return []
        return [(EXAMPLE_DATE + timedelta(seconds=row * self.step_s)).isoformat() for row in range(n_rows)]

    def seconds_of(self, times: Sequence[Any]) -> NDArray[np.float64]:
        """Return times as seconds since 1970, `[n]`.

        Raises:
            ValueError: a time is none; the message names the row.
        """
        seconds = []
        for row, time in enumerate(times):
            try:
                seconds.append(seconds_from(time))
            except ValueError:
                raise ValueError(f"{self._row(times, row)} is no time; an example is 2026-01-31T12:00:00") from None
        return np.array(seconds, dtype=np.float64)

    def _row(self, times: Sequence[Any], row: int) -> str:
        return f"{show(times[row])} in row {row} of the column {self.name!r}"


def _offset(places: NDArray[np.float64]) -> float:
    """Return by how much times `[n]`, in steps, are later than the even steps, on the whole."""
    angles = 2 * np.pi * places
    return float(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean()) / (2 * np.pi))


def seconds_from(time: Any) -> float:
    """Return a time as seconds since 1970: a date, or a number of seconds or milliseconds.

    Raises:
        ValueError: it is no time.
    """
    try:
        number = number_from(time)
    except ValueError:
        return parse_date(time).replace(tzinfo=UTC).timestamp()
    return number / 1000 if abs(number) >= MILLISECONDS_FROM else number


def to_even_steps(
    elements: NDArray[np.float64], places: NDArray[np.float64], *, gaps: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return rows `[n, E]` as even steps `[T, E]`, and the step of each row, `[n]`.

    `places` are those of the rows in steps, `[n]`, ascending from 0. With `gaps`, steps without a row are NaN;
    otherwise steps are interpolated linearly between the rows.
    """
    rows_to_steps = np.round(places).astype(np.int64)
    n_steps = int(rows_to_steps[-1]) + 1
    if n_steps == len(elements) and (places == rows_to_steps).all():
        return elements, rows_to_steps
    if gaps:
        steps = np.full((n_steps, elements.shape[1]), np.nan)
        steps[rows_to_steps] = elements
        return steps, rows_to_steps
    even = np.arange(n_steps, dtype=np.float64)
    return np.stack([np.interp(even, places, column) for column in elements.T], 1), rows_to_steps
