"""What a user says about columns, in a file of their own, overrules what follows from the values."""

from pathlib import Path
from typing import Any

import pytest

from models.codecs.table.columns import BooleanColumn, CategoryColumn, Column, DateColumn, NumberColumn
from training.errors import DataError
from training.fit.columns import find_columns
from training.fit.schema import ColumnSchema, read_schema
from training.fit.table_file import Table

N = 200
COLUMNS = {
    "row": [str(n) for n in range(N)],
    "code": [("404", "200", "500")[n % 3] for n in range(N)],
    "valve": [str(n % 2) for n in range(N)],
    "heat": [f"{20 + n % 7 * 0.5}" for n in range(N)],
    "client": [f"client {n}" for n in range(N)],
    "day": [f"{1 + n % 28:02}.{1 + n % 12:02}.2026" for n in range(N)],
}


def columns_with(tmp_path: Path, schema: str) -> dict[str, Column]:
    (tmp_path / "schema.toml").write_text(schema, encoding="utf-8")
    table = Table(COLUMNS, range(2, N + 2))
    found = find_columns(table, schema=read_schema(tmp_path / "schema.toml"))
    return {column.name: column for column in found.codec.columns}


def test_the_schema_overrules_the_values(tmp_path: Path) -> None:
    ignored = '[client]\nkind = "ignore"\n'
    assumed = columns_with(tmp_path, ignored)
    assert {name: type(column) for name, column in assumed.items()} == {
        "code": NumberColumn,
        "valve": BooleanColumn,
        "heat": NumberColumn,
        "day": DateColumn,
    }
    columns = columns_with(
        tmp_path,
        f'{ignored}[row]\nkind = "number"\n[code]\nkind = "category"\n[valve]\nvalues = ["0", "1", "2"]\n'
        '[heat]\nunit = "°C"\n[day]\nkind = "category"\n',
    )
    assert isinstance(columns["row"], NumberColumn)
    assert columns["code"] == CategoryColumn("code", has_gaps=False, values=("200", "404", "500"))
    assert columns["valve"] == CategoryColumn("valve", has_gaps=False, values=("0", "1", "2"))
    assert columns["heat"].describe()["unit"] == "°C"
    assert isinstance(columns["day"], CategoryColumn)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("code = 1", "section [code]: expected a section with kind, unit or values; found 1"),
        ("[code]\ntype = 1", "section [code]: 'type' is unknown; a section has kind, unit and values"),
        ('[code]\nkind = "text"', "kind is 'text'; it must be one of number, boolean, category, date, ignore"),
        ('[code]\nkind = "date"\nunit = "m"', "unit is 'm'; it must be a string, for a column of numbers"),
        ('[valve]\nunit = "m"', "the column 'valve' has the unit 'm', and is no column of numbers"),
        ('[code]\nvalues = ["a", "a"]', "values is ['a', 'a']; it must be a list of different strings"),
        ('[code]\nkind = "boolean"', "the column 'code' holds booleans, but not on line 2: '404'"),
        ('[client]\nkind = "number"', "the column 'client' holds numbers, but not on line 2: 'client 0'"),
        ('[codes]\nkind = "number"', "there is no column 'codes'"),
        ("[code", "schema.toml: Expected ']'"),
    ],
)
def test_a_schema_that_is_wrong_is_refused_with_its_place(schema: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        columns_with(tmp_path, schema)
    assert words in str(caught.value)


@pytest.mark.parametrize("place", [{"label": "valve"}, {"order": ["day", "valve"]}])
def test_a_schema_cannot_describe_what_the_model_does_not_see(place: dict[str, Any], tmp_path: Path) -> None:
    table = Table(COLUMNS, range(2, N + 2))
    with pytest.raises(DataError, match=r"section \[valve\], which the model does not see"):
        find_columns(table, ignore=["client"], schema={"valve": ColumnSchema(kind="category")}, **place)
