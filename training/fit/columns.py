"""Find out what the columns of a table are, and which of them a model can learn from."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.codecs.table import TableCodec
from models.codecs.table.columns import (
    FALSE,
    TRUE,
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    number_from,
)
from models.codecs.table.dates import parse_date
from training.errors import DataError
from training.fit.schema import UNSPECIFIED, ColumnSchema
from training.fit.table_file import Table

MAX_CATEGORIES = 50
"""Most different values of a column of categories, those that are rare not counted."""
MIN_CATEGORY_SHARE = 0.002
"""Share of the rows that a category must have; rarer ones are one category together."""
MIN_CATEGORY_ROWS = 3
MIN_SAME_KIND = 0.9
"""Share of the values that must be numbers, or dates, for the others to count as mistakes."""
MIN_DAYS = {"day": 2.0, "week": 14.0, "year": 730.0}
"""Days that the dates of a column must span for a cycle to be learnt: two of each."""
NORMAL_QUARTILES = 1.349
"""Distance between the quartiles of a normal distribution, in standard deviations."""
MIN_SPREAD = 1e-3
"""Least distance of the quartiles that counts as spread, in standard deviations; with less, these are the spread."""


@dataclass(frozen=True)
class FoundColumns:
    """The codec of a table, and what was left out.

    Attributes:
        codec: the codec.
        left_out: the columns that the model does not see, and why.
    """

    codec: TableCodec
    left_out: Mapping[str, str]


def find_columns(
    table: Table,
    *,
    only: Collection[str] = (),
    ignore: Collection[str] = (),
    label: str | None = None,
    order: Collection[str] = (),
    schema: Mapping[str, ColumnSchema] = MappingProxyType({}),
) -> FoundColumns:
    """Return the codec that fits a table.

    Args:
        table: the table.
        only: the columns to use; all where empty.
        ignore: columns to leave out.
        label: a column that tells anomalies from normal rows, which is left out as well.
        order: columns that put the rows in order, and are none of the codec's.
        schema: what the user says about columns.

    Raises:
        DataError: a column that is named does not exist, the schema describes one that the model does not see, columns
            hold text or a value that is none of their kind, or no column is left.
    """
    named = {*only, *ignore, *([label] if label else []), *order, *schema}
    if unknown := sorted(named - set(table.columns)):
        raise DataError(f"there is no column {unknown[0]!r}; the columns are {', '.join(map(repr, table.columns))}")
    if useless := [name for name in (*order, label) if name in schema]:
        raise DataError(f"the schema has a section [{useless[0]}], which the model does not see; leave it out")
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    texts: list[str] = []
    for name, cells in table.columns.items():
        if name in order:
            continue
        said = schema.get(name, UNSPECIFIED)
        is_chosen = name not in ignore and (not only or name in only) and said.kind != "ignore"
        reason = "the label, which the model must not see" if name == label else None if is_chosen else "as asked"
        reason = reason or _reason_to_leave_out(cells, may_count=said.kind is None)
        column = None if reason else _column(name, cells, table.lines, said)
        if column is not None and not column.width:
            reason = "its dates span less than two days, and show no cycle"
        if reason:
            left_out[name] = reason
        elif column is None:
            texts.append(name)
        else:
            columns.append(column)
    if texts:
        raise DataError(_about_texts(table, texts))
    if not columns:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in left_out.items())
        raise DataError(f"no column is left to learn from ({reasons})")
    return FoundColumns(TableCodec(tuple(columns), tuple(left_out)), left_out)


def _reason_to_leave_out(cells: Sequence[str | None], *, may_count: bool) -> str | None:
    """Return why a model cannot learn from a column; None if it can. `may_count` is whether it may count the rows."""
    values = [cell for cell in cells if cell is not None]
    if not values:
        return "it is empty"
    if len(set(values)) == 1 and len(values) == len(cells):
        return f"it is always {values[0]!r}"
    if may_count and len(values) > 2 and all(value.isdigit() for value in values):
        steps = np.diff(np.array([int(value) for value in values if len(value) < 16]))
        if len(steps) == len(values) - 1 and (steps == 1).all():
            return "it counts the rows"
    return None


def _about_texts(table: Table, names: Sequence[str]) -> str:
    """Return a sentence about columns that hold text."""
    examples = []
    for name in names:
        values = [cell for cell in table.columns[name] if cell is not None]
        examples.append(f"{name!r} ({len(set(values))} different values in {len(values)} rows, as {values[0][:40]!r})")
    return (
        f"text cannot be learnt from, and is in {', '.join(examples)}; leave out what holds it with "
        f'--ignore "{",".join(names)}", or make columns of what matters in it'
    )


def _column(name: str, cells: Sequence[str | None], lines: Sequence[int], said: ColumnSchema) -> Column | None:
    """Return the column that fits the cells and what the user says about it; None if they are text.

    Raises:
        DataError: a cell is none of the kind that the user says, or that nearly all cells are.
    """
    values = [cell for cell in cells if cell is not None]
    has_gaps = len(values) < len(cells)
    kind = said.kind or _kind_of(name, cells, lines)
    if said.kind is not None and said.kind in _READS and (wrong := _wrong_cells(cells, lines, said.kind)):
        raise DataError(_about_wrong_cells(name, said.kind, wrong))
    if kind == "number":
        return replace(_number_column(name, values, has_gaps), unit=said.unit)
    if said.unit:
        raise DataError(f"the column {name!r} has the unit {said.unit!r}, and is no column of numbers")
    if kind == "boolean":
        return BooleanColumn(name, has_gaps)
    if kind == "date":
        return _date_column(name, values, has_gaps)
    if said.values is not None:
        return CategoryColumn(name, has_gaps, said.values)
    return _category_column(name, values, has_gaps, is_certain=said.kind is not None)


def _kind_of(name: str, cells: Sequence[str | None], lines: Sequence[int]) -> str:
    """Return the kind of a column that follows from its cells.

    Raises:
        DataError: the cells are nearly all of one kind, with a few that are not.
    """
    values = [cell for cell in cells if cell is not None]
    lower = {value.lower() for value in values}
    if len(lower) == 2 and all(map(_is_boolean, lower)) and lower & set(TRUE) and lower & set(FALSE):
        return "boolean"
    for kind in ("number", "date"):
        wrong = _wrong_cells(cells, lines, kind)
        if not wrong:
            return kind
        if len(wrong) < (1 - MIN_SAME_KIND) * len(values) and len(set(values)) > MAX_CATEGORIES:
            raise DataError(_about_wrong_cells(name, kind, wrong))
    return "category"


def _wrong_cells(cells: Sequence[str | None], lines: Sequence[int], kind: str) -> list[tuple[int, str]]:
    """Return the lines and the contents of the cells that are not of a kind of `_READS`."""
    reads = _READS[kind]
    return [(line, cell) for line, cell in zip(lines, cells, strict=True) if cell is not None and not reads(cell)]


def _about_wrong_cells(name: str, kind: str, wrong: Sequence[tuple[int, str]]) -> str:
    """Return a sentence about cells of a column that are not of its kind; `wrong` are their lines and contents."""
    line, cell = wrong[0]
    return (
        f"the column {name!r} holds {kind}s, but not on line {line}: {cell!r}; "
        f'mend the {len(wrong)} such cells, leave them empty, or leave the column out with --ignore "{name}"'
    )


def number_column(
    name: str, numbers: NDArray[np.float64], *, has_gaps: bool = False, is_integer: bool = False
) -> NumberColumn:
    """Return the column of finite numbers `[n]`: its centre is their median, and its scale their spread."""
    first, centre, third = np.percentile(numbers, (25, 50, 75))
    spread = (third - first) / NORMAL_QUARTILES
    deviation = float(numbers.std())
    scale = float(spread) if spread > MIN_SPREAD * deviation else deviation
    return NumberColumn(name, has_gaps, float(centre), scale or 1.0, is_integer=is_integer)


def _number_column(name: str, values: Sequence[str], has_gaps: bool) -> NumberColumn:
    numbers = np.array([number_from(value) for value in values])
    is_integer = bool(np.all(numbers == np.round(numbers))) and not any("." in value for value in values)
    return number_column(name, numbers, has_gaps=has_gaps, is_integer=is_integer)


def _date_column(name: str, values: Sequence[str], has_gaps: bool) -> DateColumn:
    dates = [parse_date(value) for value in values]
    days = (max(dates) - min(dates)).total_seconds() / 86_400
    has_times = any(date.hour or date.minute or date.second for date in dates)
    cycles = [cycle for cycle, needed in MIN_DAYS.items() if days >= needed and (cycle != "day" or has_times)]
    return DateColumn(name, has_gaps, tuple(cycles))


def _category_column(name: str, values: Sequence[str], has_gaps: bool, *, is_certain: bool) -> CategoryColumn | None:
    """Return the column of the values that are common.

    If too many are, or too few, it is None, unless it is certain that they are categories.
    """
    counts = Counter(values)
    least = max(MIN_CATEGORY_ROWS, MIN_CATEGORY_SHARE * len(values))
    common = [value for value, count in counts.most_common() if count >= least]
    n_rare = sum(count for count in counts.values() if count < least)
    if (len(common) > MAX_CATEGORIES or n_rare > len(values) / 2) and not is_certain:
        return None
    return CategoryColumn(name, has_gaps, tuple(sorted(common[:MAX_CATEGORIES])))


def _is_number(value: str) -> bool:
    try:
        number_from(value)
    except ValueError:
        return False
    return True


def _is_date(value: str) -> bool:
    try:
        parse_date(value)
    except ValueError:
        return False
    return True


def _is_boolean(value: str) -> bool:
    return value.lower() in (*TRUE, *FALSE)


_READS: Mapping[str, Callable[[str], bool]] = {"number": _is_number, "date": _is_date, "boolean": _is_boolean}
"""For each kind but categories, whether a cell is of that kind."""
