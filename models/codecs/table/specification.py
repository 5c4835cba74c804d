"""The codecs of a table and of series of its rows as a checkpoint describes them, as JSON."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from models.codecs.arrays import MAX_FLOAT32
from models.codecs.table.codec import TableCodec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, Column, DateColumn, NumberColumn, show
from models.codecs.table.dates import CYCLES
from models.codecs.table.series import MAX_STEPS, TableSeriesCodec
from models.codecs.table.time_axis import TimeAxis
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


def build_table_series_codec(specification: Mapping[str, Any]) -> TableSeriesCodec:
    """Build the codec from what `describe_table_series_codec` returned.

    Raises:
        ConfigError: a key is unknown or missing, or a value is out of range.
    """
    shape, stride, key = specification.get("shape"), specification.get("stride"), specification.get("key")
    if not isinstance(shape, list) or len(shape) != 2 or type(shape[0]) is not int or not 2 <= shape[0] <= MAX_STEPS:
        raise ConfigError(f"codec.shape is {show(shape)}; it must be 2 to {MAX_STEPS} steps and the elements of a row")
    if type(stride) is not int or not 1 <= stride <= shape[0]:
        raise ConfigError(f"codec.stride is {show(stride)}; it must be 1 to {shape[0]}, the steps of a window")
    if key is not None and not _is_name(key):
        raise ConfigError(f"codec.key is {show(key)}; it must be the name of a column")
    rows = build_table_codec({**specification, "shape": shape[1:]})
    time = None if specification.get("time") is None else _time_axis(specification["time"])
    names = [*(column.name for column in rows.columns), *rows.ignored]
    own = [*([time.name] if time else []), *([key] if key else [])]
    if len({*names, *own}) != len(names) + len(own):
        raise ConfigError("codec.time.name and codec.key must differ from the names of the columns")
    return TableSeriesCodec(rows=rows, length=shape[0], stride=stride, time=time, key=key)


def describe_table_series_codec(codec: TableSeriesCodec) -> dict[str, Any]:
    """Return the codec in the types of JSON."""
    described = {**describe_table_codec(codec.rows), "modality": "table_series", "shape": list(codec.shape)}
    described["stride"] = codec.stride
    time = {} if codec.time is None else {"time": dataclasses.asdict(codec.time)}
    return {**described, **time, **({} if codec.key is None else {"key": codec.key})}


def _time_axis(specification: Any) -> TimeAxis:
    checks: dict[str, Callable[[Any], bool]] = {
        "name": _is_name,
        "step_s": lambda value: _is_number(value) and value > 0,
        "is_irregular": lambda value: isinstance(value, bool),
        "max_gap": lambda value: type(value) is int and 1 <= value <= MAX_STEPS,
    }
    if not isinstance(specification, Mapping) or set(specification) != set(checks):
        raise ConfigError(f"codec.time must be an object of {', '.join(checks)}")
    for name, check in checks.items():
        if not check(specification[name]):
            raise ConfigError(f"codec.time.{name} is {show(specification[name])}, which is not allowed")
    return TimeAxis(**specification)
