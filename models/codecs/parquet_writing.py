"""Rows of a table as a Parquet file, which is written by pyarrow (the extra `parquet`)."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.codecs.csv_writing import cell_of
from models.codecs.table.columns import Column, category_from, number_from


def to_parquet(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column] = ()) -> bytes:
    """Return rows of the same names as a Parquet file.

    Values of the `columns` have their types: float64, boolean or text. Others are float64 or boolean if all of them
    are, and texts otherwise.

    Raises:
        ValueError: a value is none of its column.
    """
    import pyarrow as pa
    from pyarrow import parquet

    converters: dict[str, tuple[Any, Callable[[Column, Any], Any]]] = {
        "number": (pa.float64(), lambda column, value: number_from(value)),
        "boolean": (pa.bool_(), lambda column, value: column.elements_of(value)[0] > 0),
        "category": (pa.string(), lambda column, value: _text(category_from(value))),
        "date": (pa.string(), lambda column, value: _text(str(cell_of(value)))),
    }
    by_name = {column.name: column for column in columns}
    arrays = {}
    for name in rows[0] if rows else ():
        values, kind = [row[name] for row in rows], None
        if name in by_name:
            kind, convert = converters[by_name[name].kind]
            values = [None if value is None else convert(by_name[name], value) for value in values]
        else:
            values = _of_one_type(values)
        arrays[_text(name)] = pa.array(values, type=kind)
    file = io.BytesIO()
    parquet.write_table(pa.table(arrays), file)
    return file.getvalue()


def _of_one_type(values: Sequence[Any]) -> list[Any]:
    """Return values as booleans or numbers, if all of them are, and otherwise as texts; None stays."""
    kinds = {type(value) for value in values if value is not None}
    convert = bool if kinds <= {bool} else float if kinds <= {int, float} else lambda value: _text(str(value))
    return [None if value is None else convert(value) for value in values]


def _text(text: str) -> str:
    """Return a text without lone surrogates, which have no place in UTF-8."""
    return text.encode("utf-8", "replace").decode()
