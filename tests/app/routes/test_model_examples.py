"""Examples of the OpenAPI document for models of rows: they follow the models, and the server accepts them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.routes import model_examples
from app.settings import Settings
from models.codecs.table import TableCodec, TableSeriesCodec, describe_table_codec, describe_table_series_codec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from models.codecs.table.time_axis import TimeAxis
from tests.app.keys.made import make_key
from tests.app.routes.test_tables import write
from tests.conftest import served, write_tiny

pytestmark = pytest.mark.anyio
CODEC = TableCodec(
    (
        NumberColumn("amount", False, 107.4999999, 3.0),
        NumberColumn("quantity", True, 4.2, 3.0, is_integer=True),
        BooleanColumn("paid", False),
        CategoryColumn("site", False, ("west", "east")),
        DateColumn("at", False, ("day", "week")),
    ),
    ("note",),
)
TASKS = ("encode", "reconstruct", "denoise", "detect-anomalies", "impute", "interpolate", "project", "compress")


def series_of(step_s: float) -> TableSeriesCodec:
    time = TimeAxis("time", step_s, is_irregular=False, max_gap=3)
    return TableSeriesCodec(rows=CODEC, length=5, stride=1, time=time, key="unit")


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_tiny(root)
    write(root, "sales", CODEC.shape, describe_table_codec(CODEC))
    for name, step_s in (("pumps", 10.0), ("fast", 1e-9), ("slow", 1e12)):
        write(root, name, series_of(step_s).shape, describe_table_series_codec(series_of(step_s)))
    async with served(Settings(weights_dir=root)) as client:
        yield client


async def examples_of(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """The bodies in the examples of each task, by its path and the name of the example."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    contents = {path: item.get("post", {}).get("requestBody", {}).get("content", {}) for path, item in paths.items()}
    return {
        path: {
            name: each.get("value") for name, each in content.get("application/json", {}).get("examples", {}).items()
        }
        for path, content in contents.items()
    }


@pytest.mark.parametrize("model", ["sales", "pumps", "fast", "slow"])
async def test_every_task_of_a_model_of_rows_has_an_example_that_is_answered(
    client: httpx.AsyncClient, model: str
) -> None:
    found = {path: bodies[model] for path, bodies in (await examples_of(client)).items() if model in bodies}
    assert set(found) == {f"/{task}" for task in TASKS}
    for path, body in found.items():
        answer = await client.post(path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        assert "warnings" not in answer.json()


async def test_an_example_has_the_columns_of_the_model_in_their_types(client: httpx.AsyncClient) -> None:
    found = (await examples_of(client))["/reconstruct"]
    assert found["sales"] == {
        "model": "sales",
        "inputs": [{"amount": 107.5, "quantity": 4, "paid": False, "site": "west", "at": "2026-01-31T12:00:00"}],
    }
    (item,) = found["pumps"]["inputs"]
    assert item["time"] == [f"2026-01-31T12:00:{second:02}" for second in range(0, 50, 10)]
    assert item["site"] == ["west"] * 5
    assert "tiny-ae" not in found, "images have examples of their own"


async def test_examples_follow_the_models_that_serve(client: httpx.AsyncClient) -> None:
    assert (await client.post("/models/sales/unload")).status_code == 200
    assert not any("sales" in bodies for bodies in (await examples_of(client)).values())
    assert (await client.post("/models/sales/load")).status_code == 200
    assert "sales" in (await examples_of(client))["/encode"]


async def test_a_document_that_anybody_may_read_has_no_columns(tmp_path: Path) -> None:
    write(tmp_path, "sales", CODEC.shape, describe_table_codec(CODEC))
    _, key = make_key("ci")
    async with served(Settings(weights_dir=tmp_path, api_keys=(key,))) as client:
        document = (await client.get("/openapi.json")).text
    assert "sales" not in document
    assert "quantity" not in document


async def test_the_size_of_the_examples_is_limited(
    client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = TableCodec(tuple(NumberColumn(f"column {place}", False, 0.1, 1.0) for place in range(200)))
    wider = TableCodec(tuple(NumberColumn(f"column {place}", False, 0.1, 1.0) for place in range(600)))
    write(tmp_path, "wide", wide.shape, describe_table_codec(wide))
    write(tmp_path, "wider", wider.shape, describe_table_codec(wider))
    async with served(Settings(weights_dir=tmp_path)) as own:
        found = (await examples_of(own))["/encode"]
        assert "wide" in found
        assert "wider" not in found
        assert (await own.post("/encode", json=found["wide"])).status_code == 200
    plain = json.dumps((await examples_of(client))["/encode"]["fast"]["inputs"])
    monkeypatch.setattr(model_examples, "MAX_EXAMPLES_BYTES", len(plain) * (len(TASKS) + 3))
    found = (await examples_of(client))["/encode"]
    assert "fast" in found
    assert "pumps" not in found
