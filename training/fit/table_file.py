"""Read tables from files of separated values."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from models.codecs.table.columns import GAPS
from training.errors import DataError

DELIMITERS = ",;\t|"
MAX_SAMPLE = 2**16
"""Characters from the beginning of a file in which its delimiter is looked for."""
MAX_ROWS = 5_000_000


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: the cells of each column by its name; None for a gap.
        lines: the line of the file that each row ends on, from 1.
    """

    columns: Mapping[str, Sequence[str | None]]
    lines: Sequence[int]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.lines)

    def row(self, index: int, names: Sequence[str]) -> dict[str, str | None]:
        """Return the cells of a row in these columns."""
        return {name: self.columns[name][index] for name in names}


def read_table(path: Path) -> Table:
    """Read a file of separated values in UTF-8, whose first line names the columns.

    The delimiter is a comma, a semicolon, a tab or a bar, whichever the first lines show.

    Raises:
        DataError: the file cannot be read, has no rows, too many rows, no names or the same name twice, or a line has
            more or fewer cells than there are columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.read(MAX_SAMPLE)
            file.seek(0)
            rows = _Rows(file, _delimiter(sample))
            names = [name.strip() for name in next(rows, [])]
            check_names(path, names)
            return _read_rows(path, rows, names)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from error


class _Rows:
    """The rows of a file as lists of cells; empty lines are left out.

    Attributes:
        line: the line on which the last row ended, from 1.
    """

    def __init__(self, file: TextIO, delimiter: str) -> None:
        self._reader = csv.reader(file, delimiter=delimiter, strict=True)
        self.line = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        while not (cells := next(self._reader)):
            continue
        self.line = self._reader.line_num
        return cells


def _read_rows(path: Path, rows: _Rows, names: Sequence[str]) -> Table:
    cells: list[list[str | None]] = [[] for _ in names]
    lines: list[int] = []
    for row in rows:
        if len(row) != len(names):
            raise DataError(f"{path}, line {rows.line}: {len(row)} cells; the first line names {len(names)}")
        if len(lines) == MAX_ROWS:
            raise DataError(f"{path}: more than {MAX_ROWS} rows, which is the limit")
        lines.append(rows.line)
        for column, cell in zip(cells, row, strict=True):
            text = cell.strip()
            column.append(None if text.lower() in GAPS else text)
    if not lines:
        raise DataError(f"{path}: there are no rows below the names of the columns")
    return Table(dict(zip(names, cells, strict=True)), lines)


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raise DataError unless the names are different, none is empty, and not all are numbers."""
    if not names or not all(names):
        raise DataError(f"{path}, line 1: every column must have a name; found {', '.join(map(repr, names)) or 'none'}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: these names are given twice: {', '.join(map(repr, twice))}")
    if all(is_number(name) for name in names):
        raise DataError(f"{path}, line 1: the first line holds numbers and no names of columns")


def _delimiter(sample: str) -> str:
    """Return the delimiter that the first lines have most often, and equally often."""
    lines = [line for line in sample.splitlines()[:20] if line]
    counts = {each: [line.count(each) for line in lines] for each in DELIMITERS}
    steady = {each: min(found) for each, found in counts.items() if found and min(found) == max(found) > 0}
    if steady:
        return max(steady, key=steady.__getitem__)
    return max(counts, key=lambda each: counts[each][0]) if lines else ","


def is_number(text: str) -> bool:
    """Return whether a cell holds a number, which may be infinite or NaN."""
    try:
        float(text)
    except ValueError:
        return False
    return True
