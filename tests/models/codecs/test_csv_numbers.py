"""Rows of numbers in CSV."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codecs.csv_numbers import parse_csv
from models.errors import UndecodableItems

NUMBERS = st.one_of(st.none(), st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(st.lists(NUMBERS, min_size=2, max_size=5).filter(any), min_size=1, max_size=5))
def test_what_the_csv_module_writes_is_read_back(rows: list[list[float | None]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    assert parse_csv(text.getvalue().encode()) == rows


def test_a_line_of_names_and_empty_lines_are_skipped() -> None:
    assert parse_csv(b"\xef\xbb\xbftime, value\r\n\r\n1,2.5\n\n3,NaN\n") == [[1, 2.5], [3, None]]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"1,2\n3,x\n", "line 2 of the CSV: 'x' is not a number"),
        (b"1,2\n3,inf\n", "line 2 of the CSV: inf is not finite"),
        (b"1,2\n3,\xff\n", "line 2 of the CSV: byte 6 is not UTF-8"),
        (b"1," + b"9" * 200_000, "line 1 of the CSV: field larger than field limit"),
    ],
)
def test_a_refusal_names_the_line(data: bytes, error: str) -> None:
    with pytest.raises(UndecodableItems) as refused:
        parse_csv(data)
    assert error in str(refused.value)


def test_a_number_of_many_digits_is_a_float() -> None:
    ((value,),) = parse_csv(b"123456789012345678901234567890")
    assert isinstance(value, float)
    assert math.isclose(value, 1.2345678901234568e29)
