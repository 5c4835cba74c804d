"""Rows of a table as Parquet, in requests and in answers."""

import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.http import content
from app.http.content import PARQUET, has_parquet
from app.routes import native, request_body
from app.settings import Settings
from models.codecs.table import TableSeriesCodec, describe_table_codec, describe_table_series_codec
from models.codecs.table.codec import TableCodec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from tests.app.routes.test_tables import write
from tests.conftest import TINY, served, write_tiny

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.anyio
CODEC = TableCodec(
    (
        NumberColumn("amount", True, 107.5, 3.0),
        NumberColumn("n", False, 4.2, 3.0, is_integer=True),
        BooleanColumn("paid", True),
        CategoryColumn("site", False, ("NA", "west")),
        DateColumn("at", False, ("day", "week")),
    )
)
ROWS: list[dict[str, Any]] = [
    {"amount": 0.1 + 0.2, "n": 3, "paid": True, "site": "NA", "at": "2026-03-02 11:20:00"},
    {"amount": None, "n": 4, "paid": None, "site": "west", "at": "2026-01-31 00:00:00"},
    {"amount": -1e300, "n": 5, "paid": False, "site": "west", "at": "2026-01-31 00:00:00.5"},
]
SEND = {"content-type": PARQUET}
ACCEPT = {"accept": PARQUET}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_tiny(root)
    write(root, "sales", CODEC.shape, describe_table_codec(CODEC))
    series = TableSeriesCodec(rows=CODEC, length=2, stride=1)
    write(root, "pumps", series.shape, describe_table_series_codec(series))
    return root


@pytest.fixture(scope="module")
async def client(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=root, max_items=100, max_lists=2000)) as client:
        yield client


def file_of(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def table_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == PARQUET
    return parquet.read_table(io.BytesIO(answer.content))


async def test_rows_of_a_file_are_those_of_json(client: httpx.AsyncClient) -> None:
    for task in ("reconstruct", "detect-anomalies", "impute", "encode", "project"):
        found = await client.post(f"/{task}?model=sales", content=file_of(ROWS), headers=SEND)
        expected = await client.post(f"/{task}", json={"model": "sales", "inputs": ROWS})
        assert found.json()["outputs"] == expected.json()["outputs"], task
        assert "warnings" not in found.json(), "NA is a category of the column and no gap"
    found = await client.post("/detect-anomalies?model=pumps", content=file_of(ROWS), headers=SEND)
    expected = await client.post("/detect-anomalies", json={"model": "pumps", "inputs": ROWS})
    assert found.json()["outputs"] == expected.json()["outputs"]


async def test_an_answer_has_the_types_of_the_columns_and_can_be_sent_back(client: httpx.AsyncClient) -> None:
    kinds = ["double", "double", "bool", "string", "string"]
    texts = [{name: None if value is None else str(value).lower() for name, value in row.items()} for row in ROWS]
    texts = [{**row, "site": given["site"]} for row, given in zip(texts, ROWS, strict=True)]
    outputs = (await client.post("/impute", json={"model": "sales", "inputs": ROWS})).json()["outputs"]
    for given in (ROWS, texts):
        answer = await client.post("/impute?model=sales", content=file_of(given), headers={**SEND, **ACCEPT})
        table = table_of(answer)
        assert [str(field.type) for field in table.schema] == kinds
        assert table.to_pylist() == [output["imputed"] for output in outputs]
    again = await client.post("/impute?model=sales", content=answer.content, headers={**SEND, **ACCEPT})
    assert table_of(again).equals(table)


async def test_answers_about_rows_have_typed_columns(client: httpx.AsyncClient) -> None:
    body = {"model": "sales", "inputs": ROWS}
    outputs = (await client.post("/detect-anomalies", json=body)).json()["outputs"]
    rows = table_of(await client.post("/detect-anomalies", json=body, headers=ACCEPT)).to_pylist()
    for row, output in zip(rows, outputs, strict=True):
        contributions = {f"contributions.{name}": part for name, part in output.pop("contributions").items()}
        del output["top"]
        assert row == output | contributions
    table = table_of(await client.post("/encode", json=body, headers=ACCEPT))
    assert [(field.name, str(field.type)) for field in table.schema] == [("latent.0", "double"), ("latent.1", "double")]
    table = table_of(await client.post("/sample", json={"model": "sales", "parameters": {"n": 2}}, headers=ACCEPT))
    assert table.num_rows == 2
    assert json.loads(table["at"][0].as_py()).keys() == {"day", "week"}


async def test_a_file_of_more_rows_than_a_request_takes_is_answered_by_line(client: httpx.AsyncClient) -> None:
    data = file_of([{**ROWS[0], "n": place} for place in range(1500)])
    answer = await client.post("/impute?model=sales", content=data, headers={**SEND, "accept": "application/x-ndjson"})
    assert [json.loads(line)["imputed"]["n"] for line in answer.text.splitlines()] == list(range(1500))
    answer = await client.post("/impute?model=sales", content=data, headers={**SEND, "accept": "text/csv"})
    assert [line.split(",")[1] for line in answer.text.splitlines()[1:]] == [str(place) for place in range(1500)]
    answer = await client.post("/impute?model=sales", content=data, headers=SEND)
    assert (answer.status_code, "1500 items; a request takes 1 to 100" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("path", "data", "status", "words"),
    [
        ("/impute?model=sales", b"PAR1", 400, "not a readable Parquet file"),
        ("/impute?model=sales", file_of([{"n": 1}] * 2001), 422, "2001 rows; the limit is 2000 (max_lists)"),
        ("/impute?model=sales", file_of([{**ROWS[0], "amounts": 1}]), 422, "unknown; did you mean 'amount'?"),
        ("/impute", file_of(ROWS), 422, "name a model of rows of a table in the query of a Parquet body"),
        ("/impute?model=nothing", file_of(ROWS), 404, "no model is named 'nothing'"),
        (f"/impute?model={TINY}", file_of(ROWS), 422, "name a model of rows"),
        ("/decode?model=sales", file_of(ROWS), 415, "accepted are application/json, application/x-npy, text/csv"),
        ("/generate", file_of(ROWS), 415, "accepted"),
    ],
)
async def test_what_is_no_table_of_the_model_is_refused(
    client: httpx.AsyncClient, path: str, data: bytes, status: int, words: str
) -> None:
    answer = await client.post(path, content=data, headers=SEND)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server as if pyarrow were not installed."""
    caches = (has_parquet, request_body.reads_parquet, request_body._accepted_types, native._offered_types)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(content, "find_spec", lambda name: None)
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("without_package")
async def test_without_the_package_the_refusal_says_what_to_install(client: httpx.AsyncClient) -> None:
    answer = await client.post("/impute?model=sales", content=file_of(ROWS), headers=SEND)
    assert answer.status_code == 415
    assert answer.json()["detail"].endswith("pyarrow: pip install -c constraints.txt -e '.[parquet]'")
    answer = await client.post("/impute", json={"model": "sales", "inputs": ROWS}, headers=ACCEPT)
    assert answer.status_code == 406
    assert answer.json()["detail"].endswith("pyarrow: pip install -c constraints.txt -e '.[parquet]'")
    assert "only in application/json, application/x-npy, text/csv;" in answer.json()["detail"]


async def test_latents_are_sent_back_as_csv(client: httpx.AsyncClient) -> None:
    latents = await client.post("/encode", json={"model": "sales", "inputs": ROWS}, headers={"accept": "text/csv"})
    answer = await client.post("/decode?model=sales", content=latents.content, headers={"content-type": "text/csv"})
    assert len(answer.json()["outputs"]) == len(ROWS)
