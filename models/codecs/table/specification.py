"""The codec of a table as a checkpoint describes it, as JSON."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from models.codecs.arrays import MAX_FLOAT32
from models.codecs.table.codec import TableCodec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, Column, DateColumn, NumberColumn, show
from models.codecs.table.dates import CYCLES
from models.errors import ConfigError

KINDS: dict[str, type[Column]] = {kind.kind: kind for kind in (NumberColumn, BooleanColumn, CategoryColumn, DateColumn)}
"""The kinds of columns by name."""
MAX_COLUMNS, MAX_CATEGORIES = 2**12, 2**12
"""Most columns of a table, and most values of a column of categories."""


def build_table_codec(specification: Mapping[str, Any]) -> TableCodec:
    """Build the codec from what `describe_table_codec` returned.

    Raises:
        ConfigError: a key is unknown or missing, or a value is out of range.
    """
    columns, ignored = specification.get("columns"), specification.get("ignored", [])
    if not isinstance(columns, list) or not 1 <= len(columns) <= MAX_COLUMNS:
        raise ConfigError(f"codec.columns must be a list of 1 to {MAX_COLUMNS} columns")
    if not isinstance(ignored, list) or not all(isinstance(name, str) for name in ignored):
        raise ConfigError("codec.ignored must be a list of names")
    codec = TableCodec(tuple(_column(place, column) for place, column in enumerate(columns)), tuple(ignored))
    names = [column.name for column in codec.columns]
    if len({*names, *ignored}) != len(names) + len(ignored):
        raise ConfigError("codec.columns and codec.ignored must have different names")
    if specification.get("shape") != list(codec.shape):
        raise ConfigError(f"codec.shape is {specification.get('shape')!r}; its columns make {list(codec.shape)}")
    return codec


def describe_table_codec(codec: TableCodec) -> dict[str, Any]:
    """Return the codec in the types of JSON."""
    columns = [{"kind": column.kind, **dataclasses.asdict(column)} for column in codec.columns]
    for column in columns:
        column |= {key: list(value) for key, value in column.items() if isinstance(value, tuple)}
    described = {"modality": "table", "shape": list(codec.shape), "columns": columns}
    return {**described, **({"ignored": list(codec.ignored)} if codec.ignored else {})}


def _column(place: int, specification: Any) -> Column:
    where = f"codec.columns[{place}]"
    if not isinstance(specification, Mapping) or specification.get("kind") not in KINDS:
        raise ConfigError(f"{where}.kind must be one of {', '.join(KINDS)}")
    kind = KINDS[specification["kind"]]
    known = {field.name: field for field in dataclasses.fields(kind)}
    values = {key: value for key, value in specification.items() if key != "kind"}
    required = {name for name, field in known.items() if field.default is dataclasses.MISSING}
    if wrong := sorted((set(values) - set(known)) | (required - set(values))):
        raise ConfigError(f"{where} has unknown or missing keys: {', '.join(map(show, wrong))}")
    for name, value in values.items():
        if not _CHECKS[name](value):
            raise ConfigError(f"{where}.{name} is {show(value)}, which is not allowed")
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return kind(**arguments)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 2**10


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= MAX_FLOAT32


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and len(value) == len(set(map(str, value))) and all(map(_is_name, value))


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "name": _is_name,
    "has_gaps": lambda value: isinstance(value, bool),
    "centre": _is_number,
    "scale": lambda value: _is_number(value) and value > 0,
    "unit": lambda value: isinstance(value, str),
    "is_integer": lambda value: isinstance(value, bool),
    "values": lambda value: _is_list_of_names(value) and len(value) <= MAX_CATEGORIES,
    "cycles": lambda value: _is_list_of_names(value) and bool(value) and set(value) <= set(CYCLES),
}
