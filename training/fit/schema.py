"""Read what a user says about the columns of a table, where what follows from the values is not meant.

The file is TOML, with a section for each such column:

    [temperature]
    unit = "°C"

    [error_code]
    kind = "category"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import DataError

KINDS = ("number", "boolean", "category", "date", "ignore")
MAX_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class ColumnSchema:
    """What a user says about a column.

    Attributes:
        kind: one of `KINDS`; None if it follows from the values.
        unit: the unit of the numbers; empty if there is none.
        values: the categories; None if they follow from the values.
    """

    kind: str | None = None
    unit: str = ""
    values: tuple[str, ...] | None = None


UNSPECIFIED = ColumnSchema()


def read_schema(path: Path) -> Mapping[str, ColumnSchema]:
    """Return what a file says about columns, by their names.

    Raises:
        DataError: the file cannot be read, is no TOML, or has a key or a value that is none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes; {MAX_BYTES} are the limit")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    return {name: _column(f"{path}, section [{name}]", section) for name, section in content.items()}


def _column(place: str, section: Any) -> ColumnSchema:
    if not isinstance(section, dict):
        raise DataError(f"{place}: expected a section with kind, unit or values; found {section!r}")
    if unknown := sorted(set(section) - {"kind", "unit", "values"}):
        raise DataError(f"{place}: {unknown[0]!r} is unknown; a section has kind, unit and values")
    kind, unit, values = section.get("kind"), section.get("unit", ""), section.get("values")
    if kind is not None and kind not in KINDS:
        raise DataError(f"{place}: kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    if not isinstance(unit, str) or (unit and kind not in (None, "number")):
        raise DataError(f"{place}: unit is {unit!r}; it must be a string, for a column of numbers")
    if values is None:
        return ColumnSchema(kind=kind, unit=unit)
    are_names = isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)
    if not are_names or len(set(values)) < len(values) or unit or kind not in (None, "category"):
        raise DataError(f"{place}: values is {values!r}; it must be a list of different strings, for a category")
    return ColumnSchema(kind="category", values=tuple(values))
