"""Rows as CSV: whatever they hold reads back as it was."""

import csv
import io
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.codecs.csv_numbers import csv_rows
from models.codecs.csv_writing import to_csv

NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), min_size=1, max_size=4, unique=True)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))


def as_text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@given(NAMES, st.data())
def test_every_value_reads_back(names: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, VALUES)), min_size=1, max_size=4))
    read = list(csv.reader(io.StringIO(to_csv(rows).decode(), newline=""), strict=True))
    assert read == [list(rows[0]), *([as_text(value) for value in row.values()] for row in rows)]
    for row, cells in zip(rows, read[1:], strict=True):
        for value, cell in zip(row.values(), cells, strict=True):
            assert not isinstance(value, float) or float(cell) == value


def test_lines_are_those_of_the_standard() -> None:
    rows: list[dict[str, Any]] = [{"a": 'say "no"', "b": "x,y"}, {"a": "two\nlines", "b": np.bool_(True)}]
    assert to_csv(rows) == b'a,b\r\n"say ""no""","x,y"\r\n"two\nlines",true\r\n'
    assert to_csv(rows[1:], has_names=False) == b'"two\nlines",true\r\n'
    assert list(csv_rows(to_csv(rows), gaps=())) == [{"a": 'say "no"', "b": "x,y"}, {"a": "two\nlines", "b": "true"}]


def test_places_in_cycles_are_json_and_what_is_no_text_is_replaced() -> None:
    assert to_csv([{"at": {"day": "13:05"}}]) == b'at\r\n"{""day"":""13:05""}"\r\n'
    assert to_csv([{"a": "\ud800"}]) == b"a\r\n?\r\n"
    assert to_csv([]) == b""
