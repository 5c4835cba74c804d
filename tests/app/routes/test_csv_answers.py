"""Answers about rows of a table as CSV."""

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from app.settings import Settings
from models.codecs.arrays import Limits
from models.codecs.table import TableCodec, TableSeriesCodec, describe_table_codec, describe_table_series_codec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from tests.app.routes.test_tables import write
from tests.app.server import serve
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio
CODEC = TableCodec(
    (
        NumberColumn("score", True, 107.5, 3.0),
        NumberColumn("contributions.score", False, 0.1, 1e-3),
        NumberColumn("n", True, 4.2, 3.0, is_integer=True),
        BooleanColumn("is, or is not", True),
        CategoryColumn('the "site"', False, ("north, west", 'the "Inn"', "two\nlines", "Zürich")),
        DateColumn("at", True, ("day", "week")),
    ),
    ("note",),
)
NAMES = [column.name for column in CODEC.columns]
ROWS: list[dict[str, Any]] = [
    dict(zip(NAMES, (0.1 + 0.2, 1e-300, 3, True, "north, west", "2026-03-02 11:20"), strict=True)),
    dict(zip(NAMES, (-1.5e300, 1 / 3, 12345678, False, 'the "Inn"', "31.01.2026"), strict=True)),
    dict(zip(NAMES, (None, 2, None, None, "two\nlines", "2026-01-01T00:00:00"), strict=True)),
    {**dict(zip(NAMES, ("7.25", "1e3", 0, "yes", "Zürich", 1.7e9), strict=True)), "note": "ignored"},
]
CSV = {"accept": "text/csv"}
SEND_CSV = {"content-type": "text/csv"}
LIMITS = Limits(max_items=100, max_pixels=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_tiny(root)
    write(root, "sales", CODEC.shape, describe_table_codec(CODEC))
    series = TableSeriesCodec(rows=CODEC, length=4, stride=1)
    write(root, "pumps", series.shape, describe_table_series_codec(series))
    return root


@pytest.fixture(scope="module")
async def client(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=root, max_items=1000)) as client:
        yield client


def read(answer: httpx.Response) -> tuple[list[str], list[list[str]]]:
    """The names and the cells of an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    names, *rows = csv.reader(io.StringIO(answer.text, newline=""), strict=True)
    return names, rows


def csv_of(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, NAMES, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


async def ask(client: httpx.AsyncClient, task: str, **body: Any) -> tuple[list[str], list[list[str]], list[Any]]:
    """The answer as CSV, and the outputs of the same request in JSON."""
    body = {"model": "sales", **body}
    names, rows = read(await client.post(f"/{task}", json=body, headers=CSV))
    return names, rows, (await client.post(f"/{task}", json=body)).json()["outputs"]


async def test_what_impute_answers_can_be_sent_back_and_gives_the_same_rows(client: httpx.AsyncClient) -> None:
    first = await client.post("/impute", json={"model": "sales", "inputs": ROWS}, headers=CSV)
    names, rows = read(first)
    assert names == NAMES
    outputs = (await client.post("/impute", json={"model": "sales", "inputs": ROWS})).json()["outputs"]
    sent = CODEC.decode([output["imputed"] for output in outputs], LIMITS)
    received = CODEC.decode([dict(zip(names, row, strict=True)) for row in rows], LIMITS)
    assert torch.equal(torch.stack(received), torch.stack(sent))
    again = await client.post("/impute?model=sales", content=first.content, headers=SEND_CSV)
    assert [list(output["imputed"].values()) for output in again.json()["outputs"]] == rows
    by_line = await client.post("/impute?model=sales", content=first.content, headers={**SEND_CSV, **CSV})
    assert by_line.content == first.content


async def test_cells_are_the_values_of_the_json_answer(client: httpx.AsyncClient) -> None:
    for task, field in (("reconstruct", "reconstruction"), ("denoise", "denoised"), ("impute", "imputed")):
        names, rows, outputs = await ask(client, task, inputs=ROWS)
        assert names == NAMES
        for row, output in zip(rows, outputs, strict=True):
            for cell, value in zip(row, output[field].values(), strict=True):
                expected = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
                assert cell == expected or (isinstance(value, dict) and json.loads(cell) == value)
    names, rows, _ = await ask(client, "sample", parameters={"n": 3, "seed": 1})
    assert (names, len(rows)) == (NAMES, 3)
    names, rows, _ = await ask(client, "decode", inputs=[[0.0, 1.0], [1.0, 0.0]])
    assert (names, len(rows)) == (NAMES, 2)


async def test_a_date_that_is_filled_in_is_its_place_in_each_cycle(client: httpx.AsyncClient) -> None:
    _, ((*_, at),), (output,) = await ask(client, "impute", inputs={**ROWS[0], "at": None})
    assert json.loads(at) == output["imputed"]["at"]
    assert json.loads(at).keys() == {"day", "week"}


async def test_scores_have_a_column_for_the_contribution_of_each_column(client: httpx.AsyncClient) -> None:
    inputs = [{**row, "score": 1.5, "is, or is not": True, "n": 1} for row in ROWS]
    names, rows, outputs = await ask(client, "detect-anomalies", inputs=inputs)
    parts = ["score", "threshold", "is_anomaly", "percentile", "p_value"]
    assert names == [*parts, *(f"contributions.{name}" for name in NAMES)]
    assert len(set(names)) == len(names)
    for row, output in zip(rows, outputs, strict=True):
        values = [*(output[part] for part in parts), *output["contributions"].values()]
        assert row[2] == ("true" if output["is_anomaly"] else "false")
        assert [float(cell) for place, cell in enumerate(row) if place != 2] == [*values[:2], *values[3:]]


async def test_latents_and_points_have_a_column_for_each_element(client: httpx.AsyncClient) -> None:
    names, rows, outputs = await ask(client, "encode", inputs=ROWS)
    assert names == ["latent.0", "latent.1"]
    for row, output in zip(rows, outputs, strict=True):
        assert [float(cell) for cell in row] == pytest.approx(output["latent"], rel=1e-6)
    names, rows, outputs = await ask(client, "project", inputs=ROWS)
    assert names == ["x", "y"]
    assert [[float(cell) for cell in row] for row in rows] == [[output["x"], output["y"]] for output in outputs]


@pytest.mark.parametrize(
    ("task", "model", "inputs", "types"),
    [
        ("compress", "sales", ROWS, "only in application/json"),
        ("interpolate", "sales", ROWS[:2], "only in application/json, application/x-npy"),
        ("encode", TINY, [[0.5] * 16], "only in application/json, application/x-npy"),
        ("reconstruct", TINY, [[0.5] * 16], "only in application/json, application/x-npy, image/png"),
        ("encode", "pumps", ROWS, "only in application/json, application/x-npy"),
    ],
)
async def test_what_has_no_rows_is_refused_with_the_types_that_can_be_answered(
    client: httpx.AsyncClient, task: str, model: str, inputs: list[Any], types: str
) -> None:
    answer = await client.post(f"/{task}", json={"model": model, "inputs": inputs}, headers=CSV)
    assert answer.status_code == 406
    assert answer.json()["detail"].endswith(types)
    content = csv_of(ROWS) if model != TINY else ",".join(map(str, inputs[0]))
    answer = await client.post(f"/{task}?model={model}", content=content, headers={**SEND_CSV, **CSV})
    assert answer.status_code == 406
    assert answer.json()["detail"].endswith(types)


async def test_the_type_is_that_which_the_client_prefers(client: httpx.AsyncClient) -> None:
    rows = csv_of(ROWS[:2])
    kinds = {
        "*/*": "application/json",
        "text/*": "text/csv; charset=utf-8",
        "application/json, text/csv": "application/json",
        "application/json;q=0.5, text/csv": "text/csv; charset=utf-8",
        "application/x-ndjson": "application/x-ndjson",
        "application/x-ndjson;q=0.5, text/csv": "text/csv; charset=utf-8",
    }
    for accept, kind in kinds.items():
        answer = await client.post("/encode?model=sales", content=rows, headers={**SEND_CSV, "accept": accept})
        assert answer.headers["content-type"] == kind, accept
    lines = "\n".join(map(json.dumps, ROWS))
    headers = {"content-type": "application/x-ndjson", **CSV}
    assert len(read(await client.post("/encode?model=sales", content=lines, headers=headers))[1]) == len(ROWS)


async def test_all_rows_of_a_joint_task_are_answered_together(client: httpx.AsyncClient) -> None:
    rows = csv_of(ROWS[:2])
    answer = await client.post("/project?model=sales", content=rows, headers={**SEND_CSV, **CSV})
    assert read(answer)[0] == ["x", "y"]
    assert "x-batch-size" in answer.headers
    headers = {**SEND_CSV, "accept": "application/x-ndjson"}
    answer = await client.post("/project?model=sales", content=rows, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (406, "Not acceptable")


async def test_a_file_of_any_length_is_answered_in_its_order(client: httpx.AsyncClient) -> None:
    rows = [{**ROWS[0], "n": place} for place in range(1500)]
    answer = await client.post("/impute?model=sales", content=csv_of(rows), headers={**SEND_CSV, **CSV})
    names, cells = read(answer)
    assert names == NAMES
    assert [row[2] for row in cells] == [str(place) for place in range(1500)]


async def test_a_bad_row_is_refused_by_its_place(client: httpx.AsyncClient) -> None:
    rows = csv_of([*ROWS[:2], {**ROWS[0], "n": "many"}])
    answer = await client.post("/impute?model=sales", content=rows, headers={**SEND_CSV, **CSV})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/inputs/2"
    assert "'many'" in fault["detail"]


def test_an_answer_that_has_begun_ends_incomplete_at_a_bad_row(root: Path, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "n": "many" if place == 900 else place} for place in range(1500)]
    with serve(tmp_path, weights=root) as server:
        url = f"{server.url}/impute?model=sales"
        headers = {**SEND_CSV, **CSV}
        received = b""
        with httpx.stream("POST", url, content=csv_of(rows), headers=headers, timeout=60) as answer:
            assert answer.status_code == 200
            with suppress(httpx.RemoteProtocolError):
                for chunk in answer.iter_bytes():
                    received += chunk
                pytest.fail("the answer looks complete")
    names, *cells, last = csv.reader(io.StringIO(received.decode(), newline=""), strict=True)
    assert names == NAMES
    assert len(cells) in range(600, 900)
    (error,) = last
    assert error.startswith("error: /inputs/900: the value of the column 'n' is 'many'")
