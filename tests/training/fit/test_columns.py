"""What the columns of a table are found to be."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from models.codecs.table.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from training.errors import DataError
from training.fit.columns import find_columns
from training.fit.table_file import Table, read_table

N = 200


def table_of(**columns: Sequence[str | None]) -> Table:
    return Table(columns, range(2, 2 + len(next(iter(columns.values())))))


def test_kinds_are_found_by_their_values() -> None:
    found = find_columns(
        table_of(
            row=[str(n) for n in range(N)],
            temperature=[f"{20 + n % 7 * 0.5}" for n in range(N)],
            count=[str(n * n % 31) for n in range(N)],
            open=["yes" if n % 3 else "no" for n in range(N)],
            site=["east", "west", None, "north"] * (N // 4),
            at=[f"2026-{1 + n % 12:02}-{1 + n % 28:02} {n % 24:02}:00" for n in range(N)],
            unit=["bar"] * N,
            nothing=[None] * N,
        )
    )
    kinds = {column.name: (type(column), column.has_gaps) for column in found.codec.columns}
    assert kinds == {
        "temperature": (NumberColumn, False),
        "count": (NumberColumn, False),
        "open": (BooleanColumn, False),
        "site": (CategoryColumn, True),
        "at": (DateColumn, False),
    }
    assert found.left_out == {"row": "it counts the rows", "unit": "it is always 'bar'", "nothing": "it is empty"}
    assert [column.is_integer for column in found.codec.columns if isinstance(column, NumberColumn)] == [False, True]
    assert found.codec.columns[-1].describe()["cycles"] == ["day", "week"]
    assert set(found.codec.ignored) == set(found.left_out)


def test_rare_categories_are_not_known() -> None:
    found = find_columns(table_of(site=["east", "west"] * 100 + ["north", "south"]))
    assert found.codec.columns == (CategoryColumn("site", has_gaps=False, values=("east", "west")),)


def test_a_column_that_hardly_ever_varies_has_a_scale() -> None:
    (column,) = find_columns(table_of(x=["1.5"] * 199 + ["7"])).codec.columns
    assert isinstance(column, NumberColumn)
    assert (column.centre, column.scale > 0.3) == (1.5, True)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([f"{n}" for n in range(7, N)] + ["broken"] * 7, "the column 'x' holds numbers, but not on line 195: 'broken'"),
        (
            [f"a remark of client {n}" for n in range(N)],
            "text cannot be learnt from, and is in 'x' (200 different values in 200 rows, as 'a remark of client 0'); "
            'leave out what holds it with --ignore "x"',
        ),
        ([f"2026-03-01T10:{n // 60:02}:{n % 60:02}" for n in range(N)], "span less than two days"),
        ([None] * N, "no column is left to learn from ('x': it is empty)"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_a_way_out(cells: Sequence[str | None], words: str) -> None:
    with pytest.raises(DataError) as caught:
        find_columns(table_of(x=cells))
    assert words in str(caught.value)


def test_columns_can_be_chosen_and_left_out() -> None:
    table = table_of(a=["1", "2", "4"], b=["1", "3", "2"], c=["5", "6", "8"], y=["0", "1", "0"])
    found = find_columns(table, only=("a", "b", "y"), ignore=("b",), label="y")
    assert [column.name for column in found.codec.columns] == ["a"]
    assert found.left_out == {"b": "as asked", "c": "as asked", "y": "the label, which the model must not see"}
    with pytest.raises(DataError, match="there is no column 'd'; the columns are 'a', 'b', 'c', 'y'"):
        find_columns(table, ignore=("d",))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter: str, tmp_path: Path) -> None:
    rows = [["a", "b"], ["1", '"x, y; z"'], ["", "NaN"], ["3", " w "]]
    (tmp_path / "t.csv").write_text("\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n")
    table = read_table(tmp_path / "t.csv")
    assert table.columns == {"a": ["1", None, "3"], "b": ["x, y; z", None, "w"]}
    assert table.lines == [2, 3, 4]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: every column must have a name"),
        (b"a,,c\n1,2,3\n", "line 1: every column must have a name"),
        (b"a,b,a\n1,2,3\n", "line 1: these names are given twice: 'a'"),
        (b"1,2\n3,4\n", "line 1: the first line holds numbers"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells; the first line names 2"),
        (b"a,b\n", "there are no rows"),
        (b"a,b\n\xff,2\n", "utf-8"),
        (b'a,b\n"1,2\n', "unexpected end of data"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv")
    assert words in str(caught.value)
    assert "t.csv" in str(caught.value)
