"""Items that are sent and answered line by line."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.routes import by_line
from app.settings import Settings
from tests.app.server import SHIPPED
from tests.app.tables import ROWS, write_rows
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    write_tiny(tmp_path)
    write_rows(tmp_path)
    async with served(Settings(weights_dir=tmp_path, max_items=100)) as client:
        yield client


def ndjson(values: list[Any]) -> str:
    return "\n".join(map(json.dumps, values)) + "\n"


def read_lines(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_each_line_is_answered_as_an_item_of_a_request_is(client: httpx.AsyncClient) -> None:
    items = np.random.default_rng(0).random((700, 16)).tolist()
    lines = read_lines(await client.post(f"/encode?model={TINY}", content=ndjson(items), headers=LINES))
    assert len(lines) == 700
    whole = await client.post("/encode", json={"model": TINY, "inputs": items[600:700]})
    for line, output in zip(lines[600:], whole.json()["outputs"], strict=True):
        np.testing.assert_allclose(line["latent"], output["latent"], rtol=1e-5)


async def test_a_bad_line_has_an_error_of_its_own(client: httpx.AsyncClient) -> None:
    item = [0.5] * 16
    content = ndjson([item, [2.0] * 16, item]) + "{\n" + ndjson([item, "x"])
    lines = read_lines(await client.post(f"/reconstruct?model={TINY}", content=content, headers=LINES))
    assert [line.keys() == {"error"} for line in lines] == [False, True, False, True, False, True]
    assert lines[1]["error"]["status"] == 422
    assert "the value 2 at" in lines[1]["error"]["detail"]
    assert lines[3]["error"]["status"] == 400
    assert "line 4 is no JSON" in lines[3]["error"]["detail"]
    assert lines[0] == lines[2] == lines[4]


@pytest.mark.parametrize(
    ("values", "detail"),
    [([0.5] * 16, "the line is a number"), ([[0.5] * 4] * 4, "expected numbers of shape")],
    ids=["numbers", "rows of an image"],
)
async def test_lines_that_are_an_item_only_together_are_refused_one_by_one(
    client: httpx.AsyncClient, values: list[Any], detail: str
) -> None:
    answer = await client.post(f"/reconstruct?model={TINY}", content=ndjson(values), headers=LINES)
    lines = read_lines(answer)
    assert len(lines) == len(values)
    assert all(detail in line["error"]["detail"] for line in lines), lines[0]


async def test_lines_that_could_be_an_item_together_are_items_by_themselves() -> None:
    name = "lstm-ae-ecg"
    async with served(Settings(weights_dir=SHIPPED, models=name)) as client:
        answer = await client.post(f"/reconstruct?model={name}", content=ndjson([[1.0], [2.0], [3.0]]), headers=LINES)
    assert [len(line["reconstruction"]) for line in read_lines(answer)] == [1, 1, 1]


async def test_items_that_the_model_refuses_have_errors_of_their_own() -> None:
    name, heartbeats = "gru-ae-ecg", np.random.default_rng(0).random((5, 140)).tolist()
    heartbeats[1], heartbeats[3] = heartbeats[1][:100], heartbeats[3][:50]  # which no score is calibrated for
    path = f"/detect-anomalies?model={name}"
    async with served(Settings(weights_dir=SHIPPED, models=name)) as client:
        lines = read_lines(await client.post(path, content=ndjson(heartbeats), headers=LINES))
        whole = await client.post("/detect-anomalies", json={"model": name, "inputs": heartbeats[::2]})
    assert ["error" in line for line in lines] == [False, True, False, True, False]
    assert all(line["error"]["status"] == 422 for line in lines[1::2])
    assert "50" in lines[3]["error"]["detail"]
    scores = [output["score"] for output in whole.json()["outputs"]]
    assert [line["score"] for line in lines[::2]] == pytest.approx(scores, rel=1e-4)


async def test_rows_of_a_file_are_answered_line_by_line(client: httpx.AsyncClient) -> None:
    rows = [(flow / 1000, flow % 3 == 0) for flow in range(1500)]
    content = "flow,open\n" + "".join(f"{flow},{'yes' if is_open else 'no'}\n" for flow, is_open in rows)
    headers = {"content-type": "text/csv", "accept": "application/x-ndjson"}
    lines = read_lines(await client.post(f"/detect-anomalies?model={ROWS}&n_top=1", content=content, headers=headers))
    assert len(lines) == 1500
    answer = await client.post("/detect-anomalies", json={"model": ROWS, "inputs": [{"flow": 1.499, "open": False}]})
    assert lines[-1]["score"] == pytest.approx(answer.json()["outputs"][0]["score"], rel=1e-5)
    broken = content + "1.0\n" + "2.0,yes\n"
    lines = read_lines(await client.post(f"/detect-anomalies?model={ROWS}", content=broken, headers=headers))
    assert "line 1502 of the CSV: 1 cells" in lines[-1]["error"]["detail"]
    one_bad = content.replace("0.7,", "much,", 1)
    lines = read_lines(await client.post(f"/detect-anomalies?model={ROWS}", content=one_bad, headers=headers))
    assert [place for place, line in enumerate(lines) if "error" in line] == [700]
    assert "'flow'" in lines[700]["error"]["detail"]


async def test_json_lines_are_a_request_like_any_other_where_json_is_asked_for(client: httpx.AsyncClient) -> None:
    item = [0.5] * 16
    headers = {**LINES, "accept": "application/json"}
    answer = await client.post(f"/encode?model={TINY}", content=ndjson([item] * 3), headers=headers)
    assert len(answer.json()["outputs"]) == 3
    answer = await client.post(f"/encode?model={TINY}", content=ndjson([item] * 101), headers=headers)
    assert (answer.status_code, "more than 100 items" in answer.text) == (422, True)
    answer = await client.post(f"/encode?model={TINY}", content="[1,", headers=headers)
    assert (answer.status_code, "line 1 is no JSON" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/encode", 422, "name the model in the query"),
        (f"/encode?model={TINY}&no=1", 422, "no"),
        ("/encode?model=nothing", 404, "nothing"),
        (f"/reconstruct?model={TINY}&seed=1", 422, "depends on the place of an item"),
        (f"/project?model={TINY}", 415, "application/x-ndjson"),
    ],
)
async def test_what_cannot_be_answered_by_line_is_refused(
    client: httpx.AsyncClient, path: str, status: int, words: str
) -> None:
    answer = await client.post(path, content=ndjson([[0.5] * 16]), headers=LINES)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


async def test_nothing_is_answered_with_nothing(client: httpx.AsyncClient) -> None:
    assert read_lines(await client.post(f"/encode?model={TINY}", content="\n\n", headers=LINES)) == []


async def test_a_model_stays_until_its_lines_are_answered(client: httpx.AsyncClient) -> None:
    content = ndjson([[0.5] * 16] * 600)
    async with client.stream("POST", f"/encode?model={TINY}", content=content, headers=LINES) as answer:
        first = await anext(answer.aiter_lines())
        assert "latent" in json.loads(first)
    answer = await client.post(f"/models/{TINY}/unload")
    assert answer.status_code == 200


async def test_a_batch_that_takes_too_long_is_an_error_in_the_last_line(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_batch = by_line._answer_batch

    async def answer_only_the_first(request: Any, schema: Any, batch: Any, n_before: int) -> bytes:
        if n_before:
            await asyncio.Event().wait()
        return await answer_batch(request, schema, batch, n_before)

    monkeypatch.setattr(by_line, "_answer_batch", answer_only_the_first)
    content, headers = ndjson([[0.5] * 16] * 150), {**LINES, "x-timeout-ms": "500"}
    lines = read_lines(await client.post(f"/encode?model={TINY}", content=content, headers=headers))
    assert len(lines) == 101
    assert all("latent" in line for line in lines[:100])
    assert lines[100]["error"]["status"] == 504
    assert "within 500 ms" in lines[100]["error"]["detail"]


@pytest.mark.parametrize(("n_items", "n_reads"), [(1, 1), (99, 1), (100, 2), (150, 2)])
async def test_lines_are_read_no_further_than_their_end(
    n_items: int, n_reads: int, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = by_line._next, []

    async def read_and_note(request: Any, items: Any) -> by_line.Batch:
        reads.append(await read(request, items))
        return reads[-1]

    monkeypatch.setattr(by_line, "_next", read_and_note)
    lines = read_lines(
        await client.post(f"/encode?model={TINY}", content=ndjson([[0.5] * 16] * n_items), headers=LINES)
    )
    assert len(lines) == n_items
    assert len(reads) == n_reads
