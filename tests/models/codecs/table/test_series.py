"""Series whose steps are rows of a table: in columns, in rows, by keys, and what is refused."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codecs import TableSeriesCodec, build_codec
from models.codecs.arrays import Limits
from models.codecs.table import TableCodec, describe_table_series_codec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, NumberColumn
from models.codecs.table.time_axis import TimeAxis
from models.errors import ConfigError, InvalidItems, Problem

LIMITS = Limits(max_items=3, max_pixels=1)
CODEC = TableSeriesCodec(
    rows=TableCodec(
        (
            NumberColumn("flow", False, centre=10.0, scale=2.0, is_integer=True),
            NumberColumn("load", True, centre=0.0, scale=1.0),
            BooleanColumn("open", False),
            CategoryColumn("mode", False, ("auto", "off")),
        ),
        ignored=("note",),
    ),
    length=3,
    stride=1,
    time=TimeAxis("at", 60.0, is_irregular=False, max_gap=2),
    key="pump",
)
SERIES: dict[str, Any] = {
    "at": ["2026-01-01 00:00", "2026-01-01 00:01", "2026-01-01 00:02", "2026-01-01 00:04"],
    "flow": [10, 12, 8, 10],
    "load": [0.5, None, 0.25, 1],
    "open": [True, False, True, True],
    "mode": ["auto", "off", "auto", "new"],
}
ROWS = [{name: values[row] for name, values in SERIES.items()} for row in range(4)]


def refusals(values: Any, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidItems) as caught:
        CODEC.read(values, LIMITS, **options)
    return caught.value.problems


def test_steps_are_the_rows_and_those_between_them() -> None:
    warnings: list[Problem] = []
    (series,) = CODEC.read(SERIES, LIMITS, warn=warnings.append)
    assert series.steps.shape == (5, 7)
    assert series.rows_to_steps.tolist() == [0, 1, 2, 4]
    assert series.times == SERIES["at"]
    expected = [
        CODEC.rows.decode(row, LIMITS)[0].tolist() for row in [{k: v for k, v in r.items() if k != "at"} for r in ROWS]
    ]
    np.testing.assert_allclose(series.steps[series.rows_to_steps], expected)
    np.testing.assert_allclose(series.steps[3], (series.steps[2] + series.steps[4]) / 2)
    assert [(problem.index, "'new' of the column 'mode'" in problem.detail) for problem in warnings] == [(0, True)]
    values = CODEC.values_of(series.steps.numpy()[series.rows_to_steps])
    assert values == {name: SERIES[name] for name in ("flow", "open")} | {
        "load": pytest.approx([0.5, None, 0.25, 1]),
        "mode": ["auto", "off", "auto", "(other)"],
    }


def test_rows_are_the_same_series_and_keys_tell_them_apart() -> None:
    (series,) = CODEC.read(SERIES, LIMITS)
    (of_rows,) = CODEC.read(ROWS, LIMITS)
    assert (of_rows.steps == series.steps).all()
    both = [{**row, "pump": pump} for row in ROWS for pump in ("b", 7)]
    first, second = CODEC.read(both, LIMITS)
    assert (first.key, second.key) == ("b", 7)
    assert (first.steps == series.steps).all()
    assert (second.steps == series.steps).all()
    (named,) = CODEC.read({**SERIES, "pump": "c"}, LIMITS)
    assert named.key == "c"


def test_gaps_are_to_be_filled_in_where_asked() -> None:
    (series,) = CODEC.read({**SERIES, "flow": [10, None, 8, 10]}, LIMITS, gaps=True)
    is_gap = series.steps.isnan().numpy()
    assert is_gap[1, 0]
    assert is_gap[1, 1]
    assert is_gap[3].all()
    assert is_gap.sum() == 2 + 7


@pytest.mark.parametrize(
    ("change", "index", "words"),
    [
        ({"flow": [10, None, 8, 10]}, 0, "the column 'flow' is null in row 1"),
        ({"flow": [10, 12, "x", 10]}, 0, "the value of the column 'flow' in row 2 is 'x', which is no number"),
        ({"flow": [10, 12]}, 0, "the column 'flow' is a list of 2; expected a list of 4 values"),
        ({"flow": 3}, 0, "the column 'flow' is 3; expected a list of 4 values"),
        ({"flw": [1, 2, 3, 4]}, 0, "the column 'flw' is unknown; did you mean 'flow'?"),
        ({"at": [0, 60, 120, 600]}, 0, "is 8 steps later than that of row 2"),
        ({"open": [True, 5, True, True]}, 0, "the value of the column 'open' in row 1 is 5"),
    ],
)
def test_what_is_wrong_is_said_with_column_and_row(change: dict[str, Any], index: int, words: str) -> None:
    (problem,) = refusals([{**SERIES, **change}])
    assert problem.index == index
    assert words in problem.detail


def test_the_row_of_a_list_of_rows_is_its_place_in_the_inputs() -> None:
    rows = [{**row, "pump": pump} for pump in ("a", "b") for row in ROWS]
    rows[6] = {**rows[6], "flow": "x"}
    (problem,) = refusals(rows)
    assert (problem.index, "in row 2" in problem.detail) == (6, True)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([], {}, "0 items"),
        (np.zeros((4, 4)), {}, "an array has no names of columns"),
        ([[1, 2, 3]], {}, "the item is a list; expected an object of columns and lists"),
        ({name: values[:2] for name, values in SERIES.items()}, {}, "the series has 2 steps; the model looks at 3"),
        (SERIES, {"any_length": False}, "the series has 5 steps; this task takes 3"),
        ([SERIES] * 4, {}, "4 items; a request takes 1 to 3"),
        ({"at": SERIES["at"]}, {}, "the column 'flow' is missing in row 0"),
    ],
)
def test_what_is_no_such_series_is_refused(values: Any, options: dict[str, Any], words: str) -> None:
    assert words in refusals(values, **options)[0].detail


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*SERIES, "pump", "x"]), inner),
        max_leaves=20,
    )
)
def test_any_value_is_read_or_refused(values: Any) -> None:
    with suppress(InvalidItems):
        for series in CODEC.read(values, LIMITS):
            assert series.steps.isfinite().all()


def test_the_description_makes_the_same_codec() -> None:
    described = json.loads(json.dumps(describe_table_series_codec(CODEC)))
    assert build_codec(described) == CODEC
    plain = TableSeriesCodec(rows=CODEC.rows, length=4, stride=2)
    assert build_codec(describe_table_series_codec(plain)) == plain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [1, 7]}, "codec.shape"),
        ({"shape": [3, 8]}, "codec.shape"),
        ({"stride": 4}, "codec.stride is 4; it must be 1 to 3"),
        ({"key": 5}, "codec.key"),
        ({"key": "flow"}, "must differ from the names of the columns"),
        ({"time": {"name": "at"}}, "codec.time must be an object of"),
        ({"time": {"name": "at", "step_s": 0, "is_irregular": False, "max_gap": 2}}, "codec.time.step_s is 0"),
    ],
)
def test_a_bad_description_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_codec({**describe_table_series_codec(CODEC), **change})
    assert words in str(caught.value)
