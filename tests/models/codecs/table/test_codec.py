"""Rows of a table: every type there and back, gaps, and errors that name the column and the row."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codecs import build_codec
from models.codecs.arrays import Limits
from models.codecs.table import TableCodec, describe_table_codec
from models.codecs.table.columns import OTHER, BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from models.errors import ConfigError, InvalidItems, Problem

LIMITS = Limits(max_items=5, max_pixels=1)
CODEC = TableCodec(
    (
        NumberColumn("pressure", False, centre=3.0, scale=0.5, unit="bar"),
        NumberColumn("count", True, centre=10.0, scale=4.0, is_integer=True),
        BooleanColumn("open", True),
        CategoryColumn("site", False, ("east", "west")),
        DateColumn("at", False, ("day", "week")),
    ),
    ignored=("id",),
)
ROW: dict[str, Any] = {"pressure": 3.25, "count": 12, "open": True, "site": "west", "at": "2026-01-31T13:05:00"}


def refusals(rows: Any, *, gaps: bool = False, codec: TableCodec = CODEC) -> tuple[Problem, ...]:
    with pytest.raises(InvalidItems) as caught:
        codec.decode(rows, LIMITS, gaps=gaps)
    return caught.value.problems


def test_the_elements_of_a_row_are_those_of_its_columns_in_order() -> None:
    (item,) = CODEC.decode(ROW, LIMITS)
    assert CODEC.shape == (12,)
    day, saturday = 2 * math.pi * (13 * 60 + 5) / 1440, 2 * math.pi * 5 / 7
    expected = [math.asinh(0.5), math.asinh(0.5), 0, 1, 0, 0, 1, 0]
    expected += [math.sin(day), math.cos(day), math.sin(saturday), math.cos(saturday)]
    assert item.tolist() == pytest.approx(expected)


def test_values_come_back_in_their_types() -> None:
    (item,) = CODEC.decode(ROW, LIMITS)
    values = CODEC.values_of(item.numpy())
    assert values == {**ROW, "pressure": pytest.approx(3.25), "at": {"day": "13:05", "week": "Saturday"}}
    assert [type(values[name]) for name in ("pressure", "count", "open")] == [float, int, bool]


def test_a_gap_is_null_where_the_column_has_gaps() -> None:
    rows = [{**ROW, "count": None}, {name: value for name, value in ROW.items() if name != "open"}]
    for item, name in zip(CODEC.decode(rows, LIMITS), ("count", "open"), strict=True):
        values = CODEC.values_of(item.numpy())
        assert [column for column, value in values.items() if value is None] == [name]


def test_gaps_to_be_filled_are_nan_in_every_column() -> None:
    (item,) = CODEC.decode([{"count": 3, "site": None}], LIMITS, gaps=True)
    assert item.isnan().tolist() == [True, False, False, True, False, *[True] * 3, *[True] * 4]


def test_columns_that_are_left_out_may_be_there() -> None:
    assert len(CODEC.decode([{**ROW, "id": 17}], LIMITS)) == 1


@pytest.mark.parametrize("given", ["north", 7, True])
def test_other_categories_have_a_place_of_their_own_and_a_warning(given: Any) -> None:
    warnings: list[Problem] = []
    _, item = CODEC.decode([ROW, {**ROW, "site": given}], LIMITS, warn=warnings.append)
    assert CODEC.values_of(item.numpy())["site"] == OTHER
    (warning,) = warnings
    assert warning.index == 1
    assert "'site'" in warning.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pressure": "high"}, ["'pressure'", "'high'", "no number"]),
        ({"pressure": True}, ["'pressure'", "True", "no number"]),
        ({"pressure": math.inf}, ["'pressure'", "inf", "no finite number"]),
        ({"pressure": 10**400}, ["'pressure'", "no number"]),
        ({"pressure": [1]}, ["'pressure'", "a list"]),
        ({"pressure": None}, ["'pressure'", "null"]),
        ({"open": "maybe"}, ["'open'", "'maybe'", "neither true nor false"]),
        ({"site": {"a": 1}}, ["'site'", "an object"]),
        ({"at": "yesterday"}, ["'at'", "'yesterday'", "no date"]),
        ({"at": 1e300}, ["'at'", "no date"]),
        ({"presure": 1.0}, ["'presure'", "unknown", "did you mean 'pressure'"]),
        ({"x" * 500: 1.0}, ["unknown", "…"]),
    ],
)
def test_errors_name_the_column_the_value_and_the_row(change: dict[str, Any], words: list[str]) -> None:
    (problem,) = refusals([ROW, {**ROW, **change}])
    assert problem.index == 1
    assert all(word in problem.detail for word in words), problem.detail
    assert len(problem.detail) < 400


def test_a_column_that_is_missing_is_named() -> None:
    (problem,) = refusals([{name: value for name, value in ROW.items() if name != "site"}])
    assert "'site' is missing" in problem.detail


@pytest.mark.parametrize("rows", [[[1, 2]], ["x"], [None], np.zeros((2, 12))])
def test_what_is_no_row_is_refused_with_the_columns(rows: Any) -> None:
    assert "'pressure', 'count'" in refusals(rows)[0].detail


def test_only_so_many_problems_are_named() -> None:
    codec, limits = CODEC, Limits(max_items=100, max_pixels=1)
    with pytest.raises(InvalidItems) as caught:
        codec.decode([{}] * 100, limits)
    assert len(caught.value.problems) == 17


@pytest.mark.parametrize("rows", [[], [ROW] * 6])
def test_the_number_of_rows_is_limited(rows: list[Any]) -> None:
    assert "a request takes 1 to 5" in refusals(rows)[0].detail


def test_contributions_are_summed_by_column() -> None:
    parts = np.arange(CODEC.shape[0], dtype=np.float64)
    sums = CODEC.by_column(parts)
    assert list(sums) == [column.name for column in CODEC.columns]
    assert sums["count"] == 1 + 2
    assert sum(sums.values()) == parts.sum()


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
finite = st.floats(-1e6, 1e6)
columns = st.one_of(
    st.builds(
        NumberColumn,
        names,
        st.booleans(),
        centre=finite,
        scale=st.floats(1e-3, 1e6),
        unit=st.text(max_size=3),
        is_integer=st.booleans(),
    ),
    st.builds(BooleanColumn, names, st.booleans()),
    st.builds(CategoryColumn, names, st.booleans(), st.lists(names, max_size=4, unique=True).map(tuple)),
    st.builds(
        DateColumn,
        names,
        st.booleans(),
        st.lists(st.sampled_from(["day", "week", "year"]), min_size=1, unique=True).map(tuple),
    ),
)
codecs = st.lists(columns, min_size=1, max_size=5, unique_by=lambda column: column.name).map(
    lambda found: TableCodec(tuple(found))
)
json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(codecs)
def test_a_codec_survives_its_description(codec: TableCodec) -> None:
    described = json.loads(json.dumps(describe_table_codec(codec)))
    assert build_codec(described) == codec


@given(st.data(), codecs, st.booleans())
def test_any_values_are_read_or_refused_by_name(data: st.DataObject, codec: TableCodec, gaps: bool) -> None:
    row = {column.name: data.draw(json_values) for column in codec.columns}
    try:
        (item,) = codec.decode([row], LIMITS, gaps=gaps)
    except InvalidItems as error:
        for problem in error.problems:
            assert problem.index == 0
            assert any(repr(column.name) in problem.detail for column in codec.columns)
        return
    assert item.shape == codec.shape
    assert gaps or item.isfinite().all()
    values = codec.values_of(item.nan_to_num().numpy())
    json.dumps(values, allow_nan=False)


@given(st.data(), codecs)
def test_known_values_come_back(data: st.DataObject, codec: TableCodec) -> None:
    row: dict[str, Any] = {}
    for column in codec.columns:
        if isinstance(column, NumberColumn):
            row[column.name] = data.draw(st.integers(-1000, 1000) if column.is_integer else finite)
        elif isinstance(column, BooleanColumn):
            row[column.name] = data.draw(st.booleans())
        elif isinstance(column, CategoryColumn):
            known = [value for value in column.values if value == value.strip()]
            row[column.name] = data.draw(st.sampled_from(known)) if known else OTHER
        else:
            row[column.name] = data.draw(st.datetimes()).isoformat()
        if column.has_gaps and data.draw(st.booleans()):
            row[column.name] = None
    (item,) = codec.decode([row], LIMITS)
    values = codec.values_of(item.numpy())
    for column in codec.columns:
        value, found = row[column.name], values[column.name]
        if value is None or not isinstance(column, NumberColumn | DateColumn):
            assert found == value
        elif isinstance(column, NumberColumn):
            assert found == pytest.approx(value, rel=1e-6, abs=1e-6)
        else:
            assert found.keys() == set(column.cycles)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": []}, "codec.columns must be a list"),
        ({"columns": "x"}, "codec.columns must be a list"),
        ({"columns": [{"kind": "colour"}]}, "codec.columns[0].kind must be one of number, boolean, category, date"),
        ({"columns": [{"kind": "boolean", "name": "a"}]}, "codec.columns[0] has unknown or missing keys: 'has_gaps'"),
        (
            {"columns": [{"kind": "number", "name": "a", "has_gaps": False, "centre": 0, "scale": 0}]},
            "codec.columns[0].scale is 0",
        ),
        (
            {"columns": [{"kind": "date", "name": "a", "has_gaps": False, "cycles": ["month"]}]},
            "codec.columns[0].cycles",
        ),
        ({"ignored": ["open"]}, "different names"),
        ({"shape": [3]}, "codec.shape is [3]; its columns make [12]"),
    ],
)
def test_a_damaged_description_is_refused_with_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_codec({**describe_table_codec(CODEC), **change})
    assert words in str(caught.value)
