"""Rows of numbers in CSV."""

import csv
import io
import math
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cancellation import WorkAbandoned, watch_caller
from models.codecs import csv_numbers
from models.codecs.csv_numbers import parse_csv, parse_csv_rows
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
        (b"time,value\nfirst,second\n1,2\n", "line 2 of the CSV: 'first' is not a number"),
        (b"1,2\n3,\xff\n", "line 2 of the CSV: byte 6 is not UTF-8"),
        (b"1," + b"9" * 200_000, "line 1 of the CSV: a cell has more than 65536 characters"),
    ],
)
def test_a_refusal_names_the_line(data: bytes, error: str) -> None:
    with pytest.raises(UndecodableItems) as refused:
        parse_csv(data)
    assert error in str(refused.value)


@given(
    st.lists(st.lists(st.integers(-99, 10**6), min_size=1, max_size=40), min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(12, 40),
)
def test_long_lines_are_read_in_pieces(rows: list[list[int]], end: str, n_characters: int) -> None:
    text = "".join(",".join(map(str, row)) + end for row in rows)
    with mock.patch.object(csv_numbers, "_PIECE_CHARACTERS", n_characters):
        assert parse_csv(text.encode()) == rows


def test_a_long_line_may_end_with_empty_cells_and_have_no_quotes() -> None:
    assert parse_csv(b"1," * 100_000 + b",\n2\n") == [[1] * 100_000 + [None, None], [2]]
    with pytest.raises(UndecodableItems, match="line 2 of the CSV: a line with quotes has more than 65536 characters"):
        parse_csv(b'0\n"1",' + b"1," * 100_000)


@pytest.mark.parametrize("data", [b"1," * 50 + b"\n" + b"1," * 49, b"\n" * 101, b"1\n" * 101, b"," * 2**20])
def test_the_number_of_cells_is_limited(data: bytes) -> None:
    with pytest.raises(UndecodableItems, match="more than 100 cells and empty lines, which is the limit"):
        parse_csv(data, max_cells=100)


def test_the_reading_ends_once_the_caller_has_left() -> None:
    watch_caller(lambda: True)
    try:
        assert parse_csv(b"1\n") == [[1]]
        for data in (b"1\n" * 5000, b"1," * 50_000):
            with pytest.raises(WorkAbandoned):
                parse_csv(data)
    finally:
        watch_caller(None)


def test_a_number_of_many_digits_is_a_float() -> None:
    ((value,),) = parse_csv(b"123456789012345678901234567890")
    assert isinstance(value, float)
    assert math.isclose(value, 1.2345678901234568e29)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_the_number_of_lines_is_limited(end: bytes) -> None:
    data = (b"0" + end) * 20
    assert len(parse_csv(data, max_lines=20)) == 20
    with pytest.raises(UndecodableItems, match="more than 19 lines, which is the limit"):
        parse_csv(data, max_lines=19)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@given(
    st.lists(cells.map(str.strip).filter(bool), min_size=2, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(
            st.just(names), st.lists(st.lists(cells, min_size=len(names), max_size=len(names)).filter(any), max_size=4)
        )
    )
)
def test_rows_have_the_names_of_the_first_line(table: tuple[list[str], list[list[str]]]) -> None:
    names, lines = table
    file = io.StringIO(newline="")
    csv.writer(file).writerows([names, *lines])
    found = parse_csv_rows(file.getvalue().encode(), gaps={"", "na"})
    expected = [[None if cell.strip().lower() in {"", "na"} else cell.strip() for cell in line] for line in lines]
    kept = [line for raw, line in zip(lines, expected, strict=True) if any(cell.strip() for cell in raw)]
    assert [list(row) for row in found] == [names] * len(kept)
    assert [list(row.values()) for row in found] == kept


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a,b\n1\n", "line 2 of the CSV: 1 cells; the first line has 2 names"),
        ("a,b\n1,2,3\n", "line 2 of the CSV: 3 cells; the first line has 2 names"),
        ("a,\n1,2\n", "line 1 of the CSV: a column has no name"),
        ("a,b,a\n1,2,3\n", "line 1 of the CSV: the name 'a' is given twice"),
        ("a,b\n" + "1,2\n" * 9, "the CSV has more than 12 cells and empty lines"),
    ],
)
def test_rows_that_do_not_fit_their_names_are_refused(text: str, fault: str) -> None:
    with pytest.raises(UndecodableItems) as caught:
        parse_csv_rows(text.encode(), gaps=(), max_cells=12)
    assert fault in str(caught.value)
