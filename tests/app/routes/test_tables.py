"""Rows of tables over HTTP: whatever a row holds, it is answered, or refused by row and column."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.settings import Settings
from models.autoencoders.denoising import FAMILY
from models.autoencoders.denoising.config import DenoisingConfig
from models.checkpoint import write_checkpoint
from models.codecs.table import TableCodec, TableSeriesCodec, describe_table_codec, describe_table_series_codec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, Column, DateColumn, NumberColumn
from models.codecs.table.time_axis import TimeAxis
from tests.conftest import served
from training.calibrate import calibrate

pytestmark = pytest.mark.anyio
N_SCHEMAS, LENGTH = 6, 4
TASKS = ("/detect-anomalies", "/reconstruct", "/denoise", "/impute", "/encode", "/compress", "/project")


def schema_of(number: int) -> TableCodec:
    """A table with one to five columns of random kinds."""
    rng = random.Random(number)
    makers = (
        lambda name, gaps: NumberColumn(name, gaps, rng.uniform(-9, 9), 10 ** rng.uniform(-3, 3), is_integer=gaps),
        BooleanColumn,
        lambda name, gaps: CategoryColumn(name, gaps, tuple("abc"[: rng.randint(1, 3)])),
        lambda name, gaps: DateColumn(name, gaps, ("day", "week", "year")[: rng.randint(1, 3)]),
    )
    columns: list[Column] = [
        rng.choice(makers)(f"column {place}", rng.random() < 0.5) for place in range(rng.randint(1, 5))
    ]
    return TableCodec(tuple(columns), ("note",))


SCHEMAS = [schema_of(number) for number in range(N_SCHEMAS)]


def write(root: Path, name: str, shape: tuple[int, ...], description: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = DenoisingConfig(input_shape=shape, hidden_widths=(4,), latent_width=2, output="linear")
    model: Any = FAMILY.new_model(config).eval()
    items = list(torch.randn(30, *shape))
    write_checkpoint(
        root / FAMILY.id / name,
        model,
        calibrate(model, items, [(model, items)], percentile=99.0, n_components=2),
        family_id=FAMILY.id,
        config=config,
        codec=description,
        licence="Apache-2.0",
        dtype=torch.float32,
    )


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    for number, codec in enumerate(SCHEMAS):
        write(root, f"table-{number}", codec.shape, describe_table_codec(codec))
        time = TimeAxis("at", 10.0, is_irregular=bool(number % 2), max_gap=3)
        series = TableSeriesCodec(rows=codec, length=LENGTH, stride=1, time=time, key="unit")
        write(root, f"series-{number}", series.shape, describe_table_series_codec(series))
    async with served(Settings(weights_dir=root, max_items=50)) as client:
        yield client


ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["", " ", "nan", "1e999", "-0", "2026-01-31", "31.01.2026 12:00", "2026-13-01", "yes", "A", "é"])
    | st.lists(st.integers(), max_size=2)
)


def value_of(column: Column) -> st.SearchStrategy[Any]:
    """Mostly values of a column, in JSON or as text."""
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "number": st.floats(-1e6, 1e6) | st.integers(-9, 9) | st.integers(-9, 9).map(str),
        "boolean": st.booleans() | st.sampled_from(["yes", "No", "1", "f"]),
        "category": st.sampled_from(["a", "b", "c", "d", " a "]),
        "date": st.datetimes().map(str) | st.integers(0, 2**31),
    }
    return st.one_of(kinds[column.kind], kinds[column.kind], kinds[column.kind], ANYTHING)


@st.composite
def rows(draw: st.DrawFn, codec: TableCodec, size: st.SearchStrategy[int]) -> list[dict[str, Any]]:
    n_rows = draw(size)
    row = st.fixed_dictionaries({column.name: value_of(column) for column in codec.columns})
    found = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    for each in found:
        if draw(st.integers(0, 9)) == 0:
            each.pop(draw(st.sampled_from(sorted(each))), None)
        if draw(st.integers(0, 9)) == 0:
            each[draw(st.sampled_from(["note", "column 9", "column"]))] = draw(ANYTHING)
    return found


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, list[dict[str, Any]]]:
    """The number of a schema, and one to three rows."""
    number = draw(st.integers(0, N_SCHEMAS - 1))
    return number, draw(rows(SCHEMAS[number], st.integers(1, 3)))


@st.composite
def series(draw: st.DrawFn) -> tuple[int, list[dict[str, Any]]]:
    """The number of a schema, and the rows of a series with times."""
    number = draw(st.integers(0, N_SCHEMAS - 1))
    found = draw(rows(SCHEMAS[number], st.integers(LENGTH, LENGTH + 3)))
    at = 0
    for row in found:
        row["at"] = at
        at += draw(st.sampled_from([10, 10, 10, 20, 13, 0]))
    return number, found


@st.composite
def good_rows(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    """The number of a schema, and a row of it."""
    number = draw(st.integers(0, N_SCHEMAS - 1))
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "number": st.floats(-1e3, 1e3),
        "boolean": st.booleans(),
        "category": st.just("a"),
        "date": st.datetimes().map(str),
    }
    row = st.fixed_dictionaries({column.name: kinds[column.kind] for column in SCHEMAS[number].columns})
    return number, draw(row)


def check(answer: httpx.Response, n_outputs: int) -> None:
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert len(answer.json()["outputs"]) == n_outputs
        return
    for fault in answer.json()["errors"]:
        assert fault["pointer"].startswith("/inputs/"), fault
        assert "column" in fault["detail"] or "every element is null" in fault["detail"], fault


QUIET = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@QUIET
@given(tables())
async def test_rows_are_answered_or_refused_by_row_and_column(
    client: httpx.AsyncClient, case: tuple[int, list[dict[str, Any]]]
) -> None:
    number, inputs = case
    for task in TASKS:
        answer = await client.post(task, json={"model": f"table-{number}", "inputs": inputs})
        check(answer, len(inputs))


@QUIET
@given(series())
async def test_series_are_answered_or_refused_by_row_and_column(
    client: httpx.AsyncClient, case: tuple[int, list[dict[str, Any]]]
) -> None:
    number, inputs = case
    names = dict.fromkeys(name for row in inputs for name in row)
    as_lists = {name: [row.get(name) for row in inputs] for name in names}
    for task in ("/detect-anomalies", "/reconstruct", "/denoise", "/impute"):
        for values in (inputs, as_lists):
            answer = await client.post(task, json={"model": f"series-{number}", "inputs": values})
            check(answer, 1)


@QUIET
@given(good_rows())
async def test_good_rows_come_back_in_their_types(client: httpx.AsyncClient, case: tuple[int, dict[str, Any]]) -> None:
    number, row = case
    answer = await client.post("/reconstruct", json={"model": f"table-{number}", "inputs": row})
    assert answer.status_code == 200, answer.text
    found = answer.json()["outputs"][0]["reconstruction"]
    types: dict[str, tuple[type, ...]] = {
        "number": (int, float),
        "boolean": (bool,),
        "category": (str,),
        "date": (dict,),
    }
    for column in SCHEMAS[number].columns:
        value = found[column.name]
        assert isinstance(value, types[column.kind]) or (column.has_gaps and value is None)
