"""Rows of named values in CSV (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from models.cancellation import stop_if_abandoned


def to_csv(rows: Iterable[Mapping[str, Any]], *, has_names: bool = True) -> bytes:
    """Return a line for each row in UTF-8, below a line of the names if it `has_names`; all rows have the same ones.

    Null is an empty cell. A number reads back as the same; booleans are `true` and `false`, and objects are JSON.

    Raises:
        WorkAbandoned: the caller has left.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for place, row in enumerate(rows):
        stop_if_abandoned()
        if place == 0 and has_names:
            writer.writerow(row)
        writer.writerow(map(cell_of, row.values()))
    return text.getvalue().encode("utf-8", "replace")  # lone surrogates have no place in UTF-8


def cell_of(value: Any) -> Any:
    """Return a value as `csv` writes it."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, dict) else value
