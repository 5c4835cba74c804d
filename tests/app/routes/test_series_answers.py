"""Answers about series with columns in CSV and Parquet: a row for each row of the inputs, in their order."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.http.content import PARQUET
from app.settings import Settings
from models.codecs.table import TableCodec, TableSeriesCodec, describe_table_series_codec
from models.codecs.table.columns import BooleanColumn, NumberColumn
from models.codecs.table.time_axis import TimeAxis
from tests.app.routes.test_tables import write
from tests.conftest import served

pytestmark = pytest.mark.anyio
CODEC = TableSeriesCodec(
    rows=TableCodec((NumberColumn("flow", True, 2.0, 1.0), BooleanColumn("open", False))),
    length=4,
    stride=1,
    time=TimeAxis("score", 1.0, is_irregular=False, max_gap=2),
    key="pump",
)
"""The column of the times has the name of a column of the answer."""
ROWS: list[dict[str, Any]] = [
    {"score": f"2026-01-01T00:00:{step:02}", "pump": pump, "flow": float(step % 3), "open": step % 2 == 0}
    for step in range(12)
    for pump in ("b", "a")
]
SCORES = ("score", "threshold", "is_anomaly", "p_value")


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write(root, "pumps", CODEC.shape, describe_table_series_codec(CODEC))
    async with served(Settings(weights_dir=root, max_items=1000)) as client:
        yield client


async def rows_of(client: httpx.AsyncClient, task: str, inputs: Any) -> list[dict[str, str]]:
    """The rows of an answer in CSV."""
    answer = await client.post(f"/{task}", json={"model": "pumps", "inputs": inputs}, headers={"accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text), strict=True))


async def outputs_of(client: httpx.AsyncClient, task: str, inputs: Any) -> list[dict[str, Any]]:
    answer = await client.post(f"/{task}", json={"model": "pumps", "inputs": inputs})
    assert answer.status_code == 200, answer.text
    outputs: list[dict[str, Any]] = answer.json()["outputs"]
    return outputs


async def test_each_row_has_its_score_in_the_order_of_the_inputs(client: httpx.AsyncClient) -> None:
    rows = await rows_of(client, "detect-anomalies", ROWS)
    assert list(rows[0]) == ["pump", "row.score", *SCORES, "contributions.flow", "contributions.open"]
    assert [(row["pump"], row["row.score"]) for row in rows] == [(row["pump"], row["score"]) for row in ROWS]
    outputs = {output["key"]: output for output in await outputs_of(client, "detect-anomalies", ROWS)}
    for place, row in enumerate(rows):
        output, step = outputs[row["pump"]], place // 2
        assert float(row["score"]) == output["rows"]["scores"][step]
        assert float(row["p_value"]) == output["rows"]["p_values"][step]
        assert row["is_anomaly"] == str(float(row["score"]) > output["threshold"]).lower()
        for name in ("flow", "open"):
            assert float(row[f"contributions.{name}"]) == output["contributions"][name][step]


async def test_gaps_are_filled_in_and_the_answer_can_be_sent_back(client: httpx.AsyncClient) -> None:
    given = [{**row, "flow": None if place in (5, 8) else row["flow"]} for place, row in enumerate(ROWS)]
    content = "\n".join(
        [",".join(ROWS[0]), *(",".join("" if v is None else str(v) for v in r.values()) for r in given)]
    )
    headers = {"content-type": "text/csv", "accept": "text/csv"}
    first = await client.post("/impute?model=pumps", content=content, headers=headers)
    assert first.status_code == 200, first.text
    rows = list(csv.DictReader(io.StringIO(first.text)))
    assert [row["score"] for row in rows] == [row["score"] for row in ROWS]
    kept = [place for place, row in enumerate(given) if row["flow"] is not None]
    assert [rows[place]["flow"] for place in kept] == [str(given[place]["flow"]) for place in kept]
    assert all(row["flow"] for row in rows)
    again = await client.post("/impute?model=pumps", content=first.content, headers=headers)
    assert again.content == first.content


@pytest.mark.parametrize(("task", "field"), [("reconstruct", "reconstruction"), ("denoise", "denoised")])
async def test_series_as_lists_are_answered_one_after_another(client: httpx.AsyncClient, task: str, field: str) -> None:
    series = [
        {name: [row[name] for row in ROWS[start : start + 12 : 2]] for name in ("score", "flow", "open")}
        | {"pump": pump}
        for start, pump in ((0, "b"), (1, "a"))
    ]
    rows = await rows_of(client, task, series)
    assert [row["pump"] for row in rows] == ["b"] * 6 + ["a"] * 6
    expected = [value for output in await outputs_of(client, task, series) for value in output[field]["flow"]]
    assert [float(row["flow"]) for row in rows] == expected
    without_times = [{name: values for name, values in each.items() if name != "score"} for each in series]
    assert {row["score"] for row in await rows_of(client, task, without_times)} == {""}


async def test_a_vector_of_a_whole_series_has_no_rows(client: httpx.AsyncClient) -> None:
    answer = await client.post("/encode", json={"model": "pumps", "inputs": ROWS[::2]}, headers={"accept": "text/csv"})
    assert answer.status_code == 406
    assert answer.json()["detail"].endswith("only in application/json, application/x-npy")


async def test_parquet_has_typed_columns(client: httpx.AsyncClient) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    numbered = [{**row, "pump": 7, "score": 10.0 + place} for place, row in enumerate(ROWS[:24:2])]
    kinds = {"pump": "double", "row.score": "double", "score": "double", "is_anomaly": "bool"}
    for inputs, changed in ((ROWS, {"pump": "string", "row.score": "string"}), (numbered, {})):
        answer = await client.post(
            "/detect-anomalies", json={"model": "pumps", "inputs": inputs}, headers={"accept": PARQUET}
        )
        assert answer.status_code == 200, answer.text
        table = parquet.read_table(io.BytesIO(answer.content))
        assert table.num_rows == len(inputs)
        found = {field.name: str(field.type) for field in table.schema if field.name in kinds}
        assert found == kinds | changed
