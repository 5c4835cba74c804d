"""Rows of a table in the order of time.

Shapes: `n` rows, `T` even steps, `L` steps of a window, `E` elements of a row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import MAX_PROBLEMS, ArrayCodec, Floats, Limits, Shape, check_count, limit_problems
from models.codecs.table.codec import TableCodec
from models.codecs.table.columns import show
from models.codecs.table.time_axis import TimeAxis, to_even_steps
from models.errors import InvalidItems, Problem

MAX_STEPS = 2**20
"""Most steps of a series."""


@dataclass(frozen=True, kw_only=True)
class SeriesRows:
    """A series as a client sent it and as models see it.

    Attributes:
        steps: the elements of even steps, `[T, E]` in float64.
        rows_to_steps: the step of each row, `[n]`.
        times: the time of each row, as the client wrote it; None if there are none.
        key: what tells the series from others, as the client wrote it; None if there is none.
        indices: the place of each row in the inputs, `[n]`: that of the row, or that of the whole series.
        rows: the values of each column, as the client wrote them.
    """

    steps: Tensor
    rows_to_steps: NDArray[np.int64]
    times: Sequence[Any] | None
    key: Any
    indices: Sequence[int]
    rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """The columns of a series, and the place in the inputs of each of its rows."""

    columns: Mapping[str, Sequence[Any]]
    indices: Sequence[int]


@dataclass(frozen=True)
class TableSeriesCodec(ArrayCodec):
    """The codec of series whose steps are rows of a table.

    Clients see an object of column names and lists, one value a row. Rows may also be given as a list of objects; they
    are one series, or one for each value of the column `key`. Models see even steps as vectors.

    Attributes:
        rows: the codec of a row.
        length: steps of the windows that the model was trained on.
        stride: steps from the beginning of one window to that of the next, when a series is longer.
        time: the column of times; None if rows are one step apart.
        key: the column that tells series apart; None if there is only one.
    """

    has_columns: ClassVar[bool] = True

    rows: TableCodec
    length: int
    stride: int
    time: TimeAxis | None = None
    key: str | None = None

    @cached_property
    def shape(self) -> Shape:
        """The shape of a window as models see it, `(L, E)`."""
        return (self.length, *self.rows.shape)

    @cached_property
    def example(self) -> dict[str, list[Any]]:
        """A series that the codec takes: one window of equal rows, with their times if there are any."""
        rows = {name: [value] * self.length for name, value in self.rows.example.items()}
        if self.time is None or not (times := self.time.example(self.length)):
            return rows
        return {self.time.name: times, **rows}

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """Return the even steps of each series, as `read` does."""
        return [series.steps for series in self.read(values, limits, gaps=gaps)]

    def read(
        self,
        values: object,
        limits: Limits,
        *,
        gaps: bool = False,
        any_length: bool = True,
        warn: Callable[[Problem], object] = lambda problem: None,
    ) -> list[SeriesRows]:
        """Return one series or several.

        Args:
            values: a series, a list of series, or a list of rows.
            limits: the limits of the request.
            gaps: whether the elements of missing values are NaN, to be filled in.
            any_length: whether a series may be longer than a window; otherwise it must be one.
            warn: called for each category that is none of a column's values.

        Raises:
            InvalidItems: a series is no such object, a column is unknown or missing, a value is none of its column, a
                time is out of place, or a series is too short or too long.
        """
        if isinstance(values, np.ndarray):
            raise InvalidItems(Problem("an array has no names of columns; expected objects of columns and lists"))
        tables = self._tables(values if isinstance(values, list) else [values])
        check_count(len(tables), limits.max_items)
        found: list[SeriesRows] = []
        problems: list[Problem] = []
        for table in tables:
            try:
                found.append(self._read_table(table, gaps=gaps, any_length=any_length))
                self._warn_of_others(table, warn)
            except InvalidItems as error:
                problems += error.problems
            if len(problems) > MAX_PROBLEMS:
                break
        if problems:
            raise InvalidItems(*limit_problems(problems))
        return found

    def values_of(self, steps: Floats) -> dict[str, list[Any]]:
        """Return the values of steps `[T, E]` by column."""
        rows = [self.rows.values_of(step) for step in steps]
        return {column.name: [row[column.name] for row in rows] for column in self.rows.columns}

    def by_column(self, contributions: Floats) -> dict[str, Floats]:
        """Return the sums of the contributions `[T, E]` of each column's elements, `[T]`."""
        return self.rows.by_column(contributions)

    def _tables(self, values: list[Any]) -> list[_Table]:
        """Return the series of a request, as they are or put together from rows."""
        for index, item in enumerate(values):
            if not isinstance(item, Mapping):
                raise InvalidItems(Problem(f"the item is {show(item)}; expected an object of columns and lists", index))
        if not any(isinstance(value, list) for item in values for value in item.values()):
            return self._tables_of_rows(values)
        tables = [self._lists_of(item, index) for index, item in enumerate(values)]
        n_rows = [max(1, len(next(iter(columns.values()), ()))) for columns in tables]
        return [_Table(columns, [index] * n) for index, (columns, n) in enumerate(zip(tables, n_rows, strict=True))]

    def _lists_of(self, item: Mapping[str, Any], index: int) -> dict[str, list[Any]]:
        """Return the columns of a series as lists; only the key may be a single value."""
        n_rows = max((len(value) for value in item.values() if isinstance(value, list)), default=0)
        columns: dict[str, list[Any]] = {}
        for name, value in item.items():
            given = value if isinstance(value, list) else [value] * n_rows if name == self.key else None
            if given is None or len(given) != n_rows:
                fault = show(value) if given is None else f"a list of {len(given)}"
                detail = (
                    f"the column {show(name)} is {fault}; expected a list of {n_rows} values, as another column has"
                )
                raise InvalidItems(Problem(detail, index))
            columns[name] = given
        return columns

    def _tables_of_rows(self, rows: list[Mapping[str, Any]]) -> list[_Table]:
        """Return the series of each key, in the order of their first rows."""
        groups: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            key = None if self.key is None else row.get(self.key)
            groups.setdefault(None if key is None else str(key), []).append(index)
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [
            _Table({name: [rows[index].get(name) for index in indices] for name in names}, indices)
            for indices in groups.values()
        ]

    def _read_table(self, table: _Table, *, gaps: bool, any_length: bool) -> SeriesRows:
        columns = {name: cells for name, cells in table.columns.items() if name not in self._own_names}
        n_rows = len(next(iter(table.columns.values()), ()))
        elements, problems = self.rows.elements_of_columns(columns, n_rows, gaps=gaps)
        if problems:
            raise InvalidItems(*(Problem(detail, table.indices[row or 0]) for row, detail in problems))
        times = None if self.time is None else table.columns.get(self.time.name)
        if not n_rows:
            raise InvalidItems(Problem("the series has no rows", table.indices[0]))
        try:
            places = np.arange(len(elements), dtype=np.float64)
            if self.time is not None and times is not None:
                places = self.time.steps_of(times)
            self._check_length(len(places) and round(float(places[-1])) + 1, any_length=any_length)
        except ValueError as error:
            raise InvalidItems(Problem(str(error), table.indices[0])) from None
        steps, rows_to_steps = to_even_steps(elements, places, gaps=gaps)
        keys = None if self.key is None else table.columns.get(self.key)
        return SeriesRows(
            steps=torch.from_numpy(np.ascontiguousarray(steps)),
            rows_to_steps=rows_to_steps,
            times=times,
            key=keys[0] if keys else None,
            indices=table.indices,
            rows=columns,
        )

    @cached_property
    def _own_names(self) -> frozenset[str]:
        return frozenset({*([self.time.name] if self.time else []), *([self.key] if self.key else [])})

    def _check_length(self, n_steps: int, *, any_length: bool) -> None:
        if n_steps < self.length:
            raise ValueError(f"the series has {n_steps} steps; the model looks at {self.length}, which are the least")
        if n_steps > (MAX_STEPS if any_length else self.length):
            limit = f"at most {MAX_STEPS}" if any_length else f"{self.length}, since it is about a single window"
            raise ValueError(f"the series has {n_steps} steps; this task takes {limit}")

    def _warn_of_others(self, table: _Table, warn: Callable[[Problem], object]) -> None:
        for detail, row in self.rows.unknown_categories(table.columns):
            warn(Problem(detail, table.indices[row]))
