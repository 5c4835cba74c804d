"""Answers that have a row for each row of the inputs, as CSV and Parquet files have."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from app.schemas.shared.task_schema import ModelCodecs, TaskSchema
from models.codecs import Codec, TableCodec, TableSeriesCodec
from models.codecs.table import SeriesRows
from models.codecs.table.columns import Column


def has_rows(schema: TaskSchema, codec: Codec) -> bool:
    """Return whether a task has such an answer about the items of a codec."""
    if isinstance(codec, TableSeriesCodec):
        return schema.row is not None and schema.has_series_rows
    return schema.row is not None and isinstance(codec, TableCodec)


def rows_of(schema: TaskSchema, outputs: Sequence[dict[str, Any]], codecs: ModelCodecs) -> list[dict[str, Any]]:
    """Return the rows of outputs, which all have the same names.

    Those of series are in the order of the inputs, and have the key and the time of each row as the client wrote them.
    """
    if schema.row is None:
        raise NotImplementedError(f"the task {schema.task.name} has no answer in rows")
    if not isinstance(codecs.items, TableSeriesCodec):
        return [schema.row(output) for output in outputs]
    found: list[tuple[int, dict[str, Any]]] = []
    for output, series in zip(outputs, codecs.series, strict=True):
        columns = schema.row(output)
        columns = _place_of(codecs.items, series, columns) | columns
        rows = zip(*columns.values(), strict=True)
        found += zip(series.indices, (dict(zip(columns, row, strict=True)) for row in rows), strict=True)
    return [row for _, row in sorted(found, key=itemgetter(0))]


def columns_of(schema: TaskSchema, codecs: ModelCodecs) -> Sequence[Column]:
    """Return the columns of the model whose values the rows have; none if they have others."""
    if not schema.answers_images:
        return ()
    rows = codecs.items.rows if isinstance(codecs.items, TableSeriesCodec) else codecs.items
    return rows.columns if isinstance(rows, TableCodec) else ()


def _place_of(codec: TableSeriesCodec, series: SeriesRows, columns: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the key and the time of each row by the names of their columns, which are longer if others have them."""
    n_rows = len(series.indices)
    own: dict[str, Sequence[Any]] = {}
    if codec.key is not None:
        own[codec.key] = [series.key] * n_rows
    if codec.time is not None:
        own[codec.time.name] = series.times or [None] * n_rows
    return {f"row.{name}" if name in columns else name: values for name, values in own.items()}
