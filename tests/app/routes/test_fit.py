"""`POST /fit` of a real server: the progress, what is refused, and what ends a fit."""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner

from app.cli.keys import keys
from app.concurrency.child_processes import NICENESS
from app.concurrency.fit_process import WORK_PREFIX, FitJob
from app.concurrency.fits import Fits
from app.routes import fit
from app.settings import Settings
from tests.app.fitting import MINUTES, series_csv, table_csv
from tests.app.server import Served, serve
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.timeout(300)  # since a fit stands back behind whatever else the machine does
CSV = {"content-type": "text/csv"}
TABLE, SERIES, LONG_SERIES = table_csv(150), series_csv(600), series_csv(2200)
TIMEOUT_S = 200
SECRET = "a-secret-of-the-server"  # noqa: S105 # no password


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Served]:
    weights = tmp_path_factory.mktemp("weights")
    write_tiny(weights)
    os.environ["SECRET"] = SECRET
    options = ("--checkpoints-dir", str(folder), "--max-body-bytes", "100000", "--workers", "1", "--fit-minutes", "3")
    with serve(tmp_path_factory.mktemp("server"), *options, weights=weights) as server:
        del os.environ["SECRET"]
        yield server


def post(
    server: Served, body: str | bytes = TABLE, headers: Mapping[str, str] = CSV, **parameters: Any
) -> httpx.Response:
    query = {"name": "orders", "minutes": MINUTES, **parameters}
    return httpx.post(f"{server.url}/fit", params=query, content=body, headers=headers, timeout=TIMEOUT_S)


def long_fit(server: Served, name: str) -> AbstractContextManager[httpx.Response]:
    """A fit that takes minutes."""
    url, query = f"{server.url}/fit", {"name": name, "minutes": "3", "window": "128", "stride": "1"}
    return httpx.stream("POST", url, params=query, content=LONG_SERIES, headers=CSV, timeout=TIMEOUT_S)


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_of(server: Served) -> list[psutil.Process]:
    """The processes that fit a model for a server."""
    found = []
    for process in psutil.Process(server.process.pid).children():
        try:
            if "app.concurrency.fit_worker" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def left_over(folder: Path) -> list[Path]:
    return list(folder.glob(f"{WORK_PREFIX}*"))


def test_a_table_is_fitted_loaded_and_served(server: Served, folder: Path) -> None:
    lines = lines_of(post(server))
    assert {name for line in lines for name in line} - {"note"} == {"found", "progress", "result"}
    (found,) = [line["found"] for line in lines if "found" in line]
    assert (found["kind"], found["rows"]) == ("table", 150)
    assert [column["kind"] for column in found["columns"]] == ["category", "number", "number", "boolean"]
    stages = [line["progress"]["stage"] for line in lines if "progress" in line]
    assert list(dict.fromkeys(stages)) == ["looking for anomalies", "training"]
    result = lines[-1]["result"]
    assert result["folder"] == str(folder / "orders")
    assert left_over(folder) == []
    assert httpx.post(f"{server.url}/models/orders/load", timeout=30).json()["state"] == "ready"
    url = f"{server.url}/detect-anomalies?model=orders"
    answer = httpx.post(url, content=table_csv(50, seed=1, strange=20), headers=CSV, timeout=30)
    scores = [output["score"] for output in answer.json()["outputs"]]
    assert scores.index(max(scores)) == 20
    card = httpx.get(f"{server.url}/cards/orders")
    assert card.headers["content-type"].startswith("text/markdown")
    assert card.text.startswith("# orders\n")
    charts = httpx.get(f"{server.url}/cards/orders", headers={"accept": "image/png"})
    assert charts.content.startswith(b"\x89PNG")


def test_a_fitted_model_is_replaced_only_if_that_is_asked_for(server: Served, folder: Path) -> None:
    query: dict[str, Any] = {"name": "twice", "contamination": "none"}
    assert lines_of(post(server, **query))[-1].keys() == {"result"}
    before = (folder / "twice" / "README.md").stat().st_ino
    refused = post(server, **query)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/query/name"
    assert "replace=true" in refused.json()["detail"]
    assert lines_of(post(server, **query, replace=True))[-1].keys() == {"result"}
    assert (folder / "twice" / "README.md").stat().st_ino != before
    assert left_over(folder) == []


def test_a_dry_run_tells_what_a_series_is_and_leaves_nothing(server: Served, folder: Path) -> None:
    note, found = lines_of(post(server, SERIES, name="pumps", dry_run=True))
    assert "'at' rises in even steps" in note["note"]
    assert {name: found["found"][name] for name in ("kind", "rows", "time", "key")} == {
        "kind": "series",
        "rows": 600,
        "time": "at",
        "key": None,
    }
    assert found["found"]["window"] == 24
    assert not (folder / "pumps").exists()
    assert left_over(folder) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"name": "../x"}, "the name of a model must have"),
        ({"name": ".hidden"}, "the name of a model must have"),
        ({"name": "a/b"}, "the name of a model must have"),
        ({"name": "a\n"}, "the name of a model must have"),
        ({"name": "a\\b"}, "the name of a model must have"),
        ({"name": "x" * 101}, "the name of a model must have"),
        ({"name": ""}, "the name of a model must have"),
        ({"name": TINY}, "comes with the server"),
        ({"minutes": 4}, "4 is more than 3"),
        ({"minutes": 0}, "/query/minutes"),
        ({"minutes": "nan"}, "/query/minutes"),
        ({"nonsense": 1}, "/query/nonsense"),
        ({"output": "/tmp"}, "/query/output"),  # noqa: S108 # refused
        ({"time": "a\0b"}, "/query/time"),
        ({"kind": "pictures"}, "/query/kind"),
        ({"time": "nothing"}, "there is no column 'nothing'"),
        ({"ignore": "--replace,x"}, "there is no column '--replace'"),
        ({"contamination": "much"}, "is neither auto nor none"),
        ({"false_alarms": 0.0001}, "cannot be promised"),
        ({"kind": "table", "key": "site"}, "--key is for series"),
    ],
)
def test_wrong_options_are_refused_in_words(server: Served, folder: Path, query: dict[str, Any], words: str) -> None:
    answer = post(server, **{"name": "refused", "contamination": "none", **query})
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "/errors/invalid-request"
    assert words in answer.json()["detail"]
    assert not (folder / "refused").exists()
    assert left_over(folder) == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ("a,b\n1,2\n3\n", CSV, 422, "bad.csv, line 3: 1 cells"),
        ("", CSV, 422, "bad.csv"),
        (b"PAR1", {"content-type": "application/vnd.apache.parquet"}, 422, "bad.parquet"),
        ("x" * 100_001, CSV, 413, "the limit is 100000"),
        ("{}", {"content-type": "application/json"}, 415, "accepted are text/csv"),
    ],
)
def test_wrong_files_are_refused_in_words(
    server: Served, body: str | bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = post(server, body, headers, name="bad")
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_a_file_that_is_no_model_is_not_replaced(server: Served, folder: Path) -> None:
    (folder / "notes").write_text("mine")
    answer = post(server, name="notes", replace=True)
    assert answer.status_code == 422
    assert "is no model" in answer.json()["detail"]
    assert (folder / "notes").read_text() == "mine"


def test_a_fit_stands_back_and_knows_nothing_of_the_server(server: Served, folder: Path) -> None:
    """Others are served while it runs, a second fit is refused, and it ends when its client leaves."""
    with long_fit(server, "long") as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()  # the client hangs up where these are dropped
        assert "progress" in json.loads(next(lines))
        (process,) = processes_of(server)
        process.suspend()  # as on a machine that has no time for it
        assert process.nice() == min(19, os.nice(0) + NICENESS)
        assert SECRET not in process.environ().values()
        body = {"model": TINY, "inputs": [[0.5] * 16]}
        for _ in range(20):
            assert httpx.post(f"{server.url}/encode", json=body).status_code == 200
        second = post(server, name="second")
        assert (second.status_code, second.json()["type"]) == (429, "/errors/queue-full")
        assert int(second.headers["retry-after"]) > 0
        assert process.is_running()
    assert lines_of(post(server, name="after", contamination="none"))[-1].keys() == {"result"}
    assert not process.is_running()
    until(lambda: left_over(folder) == [])
    assert not (folder / "long").exists()


def test_a_process_that_is_killed_from_outside_is_told(server: Served, folder: Path) -> None:
    with long_fit(server, "killed") as answer:
        lines = answer.iter_lines()
        next(lines)
        (process,) = processes_of(server)
        process.kill()
        error = [json.loads(line) for line in lines][-1]["error"]
    assert (error["type"], error["status"]) == ("/errors/fit-failed", 500)
    assert "was killed from outside" in error["detail"]
    assert left_over(folder) == []


def test_the_deadline_ends_a_fit(server: Served, folder: Path) -> None:
    answer = post(server, SERIES, {**CSV, "x-timeout-ms": "1000"}, name="late")
    assert (answer.status_code, answer.json()["type"]) == (504, "/errors/deadline-exceeded")
    assert "1000 ms; ask for fewer minutes" in answer.json()["detail"]
    until(lambda: left_over(folder) == [] and processes_of(server) == [])


@pytest.mark.anyio
async def test_an_error_after_the_first_line_is_the_last_one(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never_end(self: Fits, job: FitJob, data: bytes) -> AsyncGenerator[bytes, None]:
        yield b'{"note": "later lines matter"}\n'
        yield b'{"found": {}}\n'
        await asyncio.Event().wait()

    monkeypatch.setattr(Fits, "lines", never_end)
    async with served(Settings(weights_dir=weights)) as client:
        answer = await client.post("/fit?name=late", content=TABLE, headers={**CSV, "x-timeout-ms": "100"})
    note, found, last = lines_of(answer)
    assert list(note) == ["note"]
    assert found == {"found": {}}
    assert (last["error"]["type"], last["error"]["status"]) == ("/errors/deadline-exceeded", 504)
    assert last["error"]["request_id"] == answer.headers["x-request-id"]


def test_a_fit_ends_with_the_server_and_within_its_memory(tmp_path: Path) -> None:
    write_tiny(tmp_path / "weights")
    own = ("--checkpoints-dir", str(tmp_path / "own"))
    with serve(tmp_path, *own, "--fit-memory", "150MiB", weights=tmp_path / "weights") as server:
        answer = post(server)
        assert answer.status_code == 422
        assert "takes more than 157286400 bytes of memory" in answer.json()["detail"]
    with serve(tmp_path, *own, weights=tmp_path / "weights") as server, long_fit(server, "long") as answer:
        lines = answer.iter_lines()  # the client hangs up where these are dropped
        next(lines)
        (process,) = processes_of(server)
        server.process.kill()
        until(lambda: not process.is_running())


def test_only_administrators_fit_models(tmp_path: Path) -> None:
    write_tiny(tmp_path / "weights")
    file = tmp_path / "keys.json"
    secrets = [
        CliRunner().invoke(keys, ["new", role, "--role", role, "--keys-file", str(file)]).stdout.strip()
        for role in ("infer", "admin")
    ]
    options = ("--checkpoints-dir", str(tmp_path / "own"), "--workers", "1", "--keys-file", str(file))
    with serve(tmp_path, *options, weights=tmp_path / "weights") as server:
        assert post(server).status_code == 401
        refused = post(server, headers={**CSV, "x-api-key": secrets[0]})
        assert (refused.status_code, refused.json()["type"]) == (403, "/errors/forbidden")
        found = lines_of(post(server, headers={**CSV, "x-api-key": secrets[1]}, dry_run=True))
        assert found[-1].keys() == {"found"}


def test_without_keys_models_are_fitted_from_this_machine_alone(server: Served) -> None:
    answer = post(server, headers={**CSV, "x-forwarded-for": "10.0.0.1"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/errors/forbidden")
    assert "models are loaded, unloaded and fitted only from the machine of the server" in answer.json()["detail"]


@pytest.mark.anyio
async def test_a_server_that_cannot_fit_says_what_would_let_it(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusal(settings: Settings) -> str:
        async with served(settings) as client:
            answer = await client.post("/fit?name=orders", content=TABLE, headers=CSV)
        assert (answer.status_code, answer.json()["type"]) == (501, "/errors/fit-unavailable")
        detail: str = answer.json()["detail"]
        return detail

    assert "fit_minutes is 0" in await refusal(Settings(weights_dir=weights, fit_minutes=0))
    (tmp_path / "file").touch()
    assert "Not a directory" in await refusal(Settings(weights_dir=weights, checkpoints_dir=tmp_path / "file"))
    monkeypatch.setattr(fit, "missing_package", lambda: "matplotlib")
    assert "needs the package matplotlib; pip install" in await refusal(Settings(weights_dir=weights))
