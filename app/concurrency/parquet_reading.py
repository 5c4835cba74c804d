"""Reading Parquet files by pyarrow (the extra `parquet`), in a process that a damaged or hostile file may harm."""

import io
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from models.cancellation import stop_if_abandoned
from models.errors import InvalidItems, Problem, UndecodableItems

BATCH_ROWS = 1024
"""Number of rows that are decoded at a time."""
MAX_FOOTER_STRING, MAX_FOOTER_PARTS = 2**20, 2**20
"""Longest string in the description of a file in bytes, and most parts of a list there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableLimits:
    """What a Parquet file may hold.

    Attributes:
        max_rows: most rows.
        max_cells: most cells, nulls included.
        max_bytes: most bytes of all columns, decompressed, and most bytes of their values as text.
    """

    max_rows: int
    max_cells: int
    max_bytes: int


def parquet_to_lines(data: bytes, limits: TableLimits) -> bytes:
    """Return a line of JSON with the names of the columns, and below it a line with the values of each row.

    NaN is null, and dates, times and decimals are texts. This may crash or take any memory and time on a file that was
    made for it, and must be called in a process of its own.

    Raises:
        UndecodableItems: the file is not Parquet, or damaged.
        InvalidItems: it has no columns, columns of the same name or of lists, objects or bytes, an infinite number, or
            more than the limits allow.
        MemoryError: there is not enough memory.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(
            pa.BufferReader(data),
            pre_buffer=False,
            thrift_string_size_limit=MAX_FOOTER_STRING,
            thrift_container_size_limit=MAX_FOOTER_PARTS,
        )
        _check_description(file, limits)
        return _lines(file, limits)
    except (InvalidItems, MemoryError):
        raise
    except Exception as error:  # a damaged file raises errors of many kinds
        raise UndecodableItems(Problem("the bytes are not a readable Parquet file")) from error


def _check_description(file: Any, limits: TableLimits) -> None:
    """Check a file by its description alone.

    Raises:
        InvalidItems: it has more than the limits allow, or other columns than a table.
    """
    n_rows, names = file.metadata.num_rows, file.schema_arrow.names
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    n_bytes = sum(group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns))
    for n, limit, parts in (
        (n_rows, limits.max_rows, "rows; the limit is {} (max_lists)"),
        (n_rows * len(names), limits.max_cells, "cells; the limit is {} (max_values)"),
        (n_bytes, limits.max_bytes, "bytes, decompressed; the limit is {} (max_body_bytes)"),
    ):
        if not 0 <= n <= limit:
            raise InvalidItems(Problem(f"the Parquet file has {n} {parts.format(limit)}"))
    if not names:
        raise InvalidItems(Problem("the Parquet file has no columns"))
    for place, field in enumerate(file.schema_arrow):
        column = f"the column {reprlib.repr(field.name)} of the Parquet file"
        if field.name in names[:place]:
            raise InvalidItems(Problem(f"{column} is there twice"))
        if not _is_value(field.type):
            kind = reprlib.repr(str(field.type))
            raise InvalidItems(Problem(f"{column} has the type {kind}; expected numbers, booleans, texts or dates"))


def _lines(file: Any, limits: TableLimits) -> bytes:
    """Return the lines of a file, as far as they are within the limits: its description may be wrong.

    Raises:
        InvalidItems: they are not, or a number is infinite.
    """
    lines = io.BytesIO()
    lines.write(orjson.dumps(file.schema_arrow.names) + b"\n")
    n_rows = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        columns = [_values(batch, place, n_rows) for place in range(batch.num_columns)]
        lines.writelines(orjson.dumps(values) + b"\n" for values in zip(*columns, strict=True))
        n_rows += batch.num_rows
        if lines.tell() > limits.max_bytes:
            detail = f"take more than {limits.max_bytes} bytes as text, the limit (max_body_bytes)"
            raise InvalidItems(Problem(f"the values of the Parquet file {detail}"))
        if n_rows > limits.max_rows:
            raise InvalidItems(Problem(f"the Parquet file has more rows than {limits.max_rows}, the limit (max_lists)"))
    return lines.getvalue()


def _is_value(kind: Any) -> bool:
    """Return whether a column of this type holds values that a row of a table may have."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    is_time = types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind)
    return any((is_text, is_number, is_time, types.is_boolean(kind), types.is_null(kind)))


def _values(batch: Any, place: int, n_before: int) -> list[Any]:
    """Return the values of a column of rows, before which there were so many others, in the types of JSON.

    Raises:
        InvalidItems: a number is infinite.
    """
    import pyarrow as pa
    from pyarrow import compute, types

    column, name = batch.column(place), reprlib.repr(batch.schema.names[place])
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_floating(kind):
        column = column.cast(pa.float64())
        row = compute.index(compute.is_inf(column), value=True).as_py()
        if row >= 0:
            raise InvalidItems(Problem(f"the value of the column {name} in row {n_before + row} is infinite"))
    elif not (types.is_boolean(kind) or types.is_integer(kind)):
        if types.is_timestamp(kind) and kind.tz is not None:
            column = column.cast(pa.timestamp(kind.unit))  # in UTC
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def rows_from_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the rows of a text that `parquet_to_lines` returned, as objects of the columns' names and values.

    Raises:
        UndecodableItems: the text is another one.
        WorkAbandoned: the caller has left.
    """
    lines = io.BytesIO(data)
    try:
        names = orjson.loads(next(lines))
        for line in lines:
            stop_if_abandoned()
            yield dict(zip(names, orjson.loads(line), strict=True))
    except (ValueError, TypeError) as error:
        raise UndecodableItems(Problem("the rows of the Parquet file could not be read")) from error
