"""Rows of a table as vectors.

Shapes: `W` elements of a row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import MAX_PROBLEMS, ArrayCodec, Floats, Limits, Shape, check_count, limit_problems
from models.codecs.table.columns import CategoryColumn, Column, DateColumn, InvalidValue, show
from models.codecs.table.dates import EXAMPLE_DATE
from models.errors import InvalidItems, Problem

MAX_NAMED = 20
"""Most columns that an error names."""


@dataclass(frozen=True)
class TableCodec(ArrayCodec):
    """The codec of the rows of a table.

    Clients see an object of column names and values; null is a gap. Models see a vector of W elements: those of each
    column in order, followed by 1 for a gap and 0 otherwise if the column has gaps. A gap itself is zeros.

    Attributes:
        columns: the columns.
        ignored: names of columns that rows may have although the model does not see them.
    """

    has_columns: ClassVar[bool] = True

    columns: tuple[Column, ...]
    ignored: tuple[str, ...] = ()

    @cached_property
    def places(self) -> dict[str, slice]:
        """The elements of each column, without that which says whether there is a gap."""
        places, start = {}, 0
        for column in self.columns:
            places[column.name] = slice(start, start + column.width)
            start += column.width + column.has_gaps
        return places

    @cached_property
    def shape(self) -> Shape:
        """The shape of a row as models see it, `(W,)`."""
        return (sum(column.width + column.has_gaps for column in self.columns),)

    @cached_property
    def example(self) -> dict[str, Any]:
        """A row that the codec takes: the middle of each number, in six digits, and the first of each category."""
        values = self.values_of(np.zeros(self.shape))
        values |= {column.name: EXAMPLE_DATE.isoformat() for column in self.columns if isinstance(column, DateColumn)}
        return {name: float(f"{each:.6g}") if isinstance(each, float) else each for name, each in values.items()}

    def decode(
        self,
        values: object,
        limits: Limits,
        *,
        gaps: bool = False,
        warn: Callable[[Problem], object] = lambda problem: None,
    ) -> list[Tensor]:
        """Return one row or several as float64 tensors `[W]`.

        With `gaps`, the elements of a gap are NaN, to be filled in, as if its value were merely unknown. `warn` is
        called for each category that is none of a column's values.

        Raises:
            InvalidItems: a row is no object, or a column is missing, unknown or has a value that is none of it.
        """
        if isinstance(values, np.ndarray):
            raise InvalidItems(Problem(f"an array has no names of columns; {self._expected()}"))
        rows = values if isinstance(values, list) else [values]
        check_count(len(rows), limits.max_items)
        tensors: list[Tensor] = []
        problems: list[Problem] = []
        for index, row in enumerate(rows):
            found = self._problems_of(row)
            if not found:
                elements, found = self._elements_of(row, gaps=gaps)
            if not found:
                tensors.append(torch.tensor(elements, dtype=torch.float64))
                self._warn_of_others(row, index, warn)
            problems += [Problem(detail, index) for detail in found]
            if len(problems) > MAX_PROBLEMS:
                break
        if problems:
            raise InvalidItems(*limit_problems(problems))
        return tensors

    def elements_of_columns(
        self, columns: Mapping[str, Sequence[Any]], n_rows: int, *, gaps: bool
    ) -> tuple[NDArray[np.float64], list[tuple[int | None, str]]]:
        """Return the elements of all rows, `[n, W]`, and what is wrong, with the row or None for a whole column.

        `columns` are the `n_rows` values of each column. With `gaps`, the elements of a gap are NaN.
        """
        known = {*self.places, *self.ignored}
        problems: list[tuple[int | None, str]] = [
            (None, f"the column {show(name)} is unknown; {self._suggest(name)}")
            for name in columns
            if name not in known
        ]
        elements = np.zeros((n_rows, *self.shape))
        for column in self.columns:
            place = self.places[column.name]
            values = columns.get(column.name, [None] * n_rows)
            is_gap = np.array([value is None for value in values], dtype=bool)
            if is_gap.any() and not (column.has_gaps or gaps):
                row, state = int(np.argmax(is_gap)), "null" if column.name in columns else "missing"
                problems.append((row, f"the column {column.name!r} is {state} in row {row}; it never was in training"))
                continue
            observed = np.flatnonzero(~is_gap).tolist()
            try:
                elements[observed, place] = column.elements_of_all([values[row] for row in observed])
            except InvalidValue as error:
                row = observed[error.place]
                problems.append((row, f"the value of the column {column.name!r} in row {row} is {error}"))
            if gaps:
                elements[is_gap, place] = np.nan
            elif column.has_gaps:
                elements[:, place.stop] = is_gap
        return elements, problems

    def unknown_categories(self, columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, int]]:
        """Return a warning for each category that is none of a column's values, and the first row that has it."""
        for column in self.columns:
            if not isinstance(column, CategoryColumn):
                continue
            values = columns.get(column.name, ())
            for value in dict.fromkeys(value for value in values if value is not None):
                if not column.is_known(value):
                    yield _about_category(column, value), values.index(value)

    def values_of(self, row: Floats) -> dict[str, Any]:
        """Return the values of a row `[W]` by column; null where the row has a gap."""
        elements: list[float] = row.tolist()
        values: dict[str, Any] = {}
        for column in self.columns:
            place = self.places[column.name]
            is_gap = column.has_gaps and elements[place.stop] > 0.5
            values[column.name] = None if is_gap else column.value_of(elements[place])
        return values

    def by_column(self, contributions: Floats) -> dict[str, Floats]:
        """Return the sums of the contributions `[…, W]` of each column's elements, each `[…]`."""
        sums: dict[str, Floats] = {}
        for column in self.columns:
            place = self.places[column.name]
            sums[column.name] = contributions[..., place.start : place.stop + column.has_gaps].sum(-1)
        return sums

    def _problems_of(self, row: Any) -> list[str]:
        """Return what is wrong with the columns of a row."""
        if not isinstance(row, Mapping):
            return [f"the row is {show(row)}; {self._expected()}"]
        known = {*self.places, *self.ignored}
        return [f"the column {show(name)} is unknown; {self._suggest(name)}" for name in row if name not in known]

    def _elements_of(self, row: Mapping[str, Any], *, gaps: bool) -> tuple[list[float], list[str]]:
        """Return the elements of a row, and what is wrong with its values."""
        elements: list[float] = []
        problems: list[str] = []
        for column in self.columns:
            value = row.get(column.name)
            is_gap = value is None
            if is_gap and not (column.has_gaps or gaps):
                state = "null" if column.name in row else "missing"
                problems.append(f"the column {column.name!r} is {state}, which it never was in the training data")
                continue
            if is_gap:
                elements += [float("nan") if gaps else 0.0] * column.width
            else:
                try:
                    elements += column.elements_of(value)
                except ValueError as error:
                    problems.append(f"the value of the column {column.name!r} is {error}")
            if column.has_gaps:
                elements.append(float(is_gap and not gaps))
        return elements, problems

    def _warn_of_others(self, row: Mapping[str, Any], index: int, warn: Callable[[Problem], object]) -> None:
        for column in self.columns:
            value = row.get(column.name)
            if isinstance(column, CategoryColumn) and value is not None and not column.is_known(value):
                warn(Problem(_about_category(column, value), index))

    def _suggest(self, name: object) -> str:
        close = get_close_matches(str(name), self.places, n=1)
        return f"did you mean {close[0]!r}?" if close else self._expected()

    def _expected(self) -> str:
        names: Sequence[str] = list(self.places)
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        return f"expected an object of the columns {', '.join(map(repr, names[:MAX_NAMED]))}{more}"


def _about_category(column: CategoryColumn, value: Any) -> str:
    return f"{show(value)} of the column {column.name!r} was rare in the training data, or never there"
