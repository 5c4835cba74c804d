"""Names of models in requests are looked up and never become a part of a path."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import InvalidRequest
from app.registry.registry import Registry
from app.settings import Settings
from models.errors import CheckpointError
from tests.app.items import images

pytestmark = pytest.mark.anyio

MARK = "zq-mark"
"""A part of every name, by which file accesses that use it are found."""
NAMES = [
    f"..%2f..%2f{MARK}",
    f"..%2F..%2Fetc%2F{MARK}",
    f"%2e%2e%2f{MARK}",
    f"%2Fetc%2F{MARK}",
    f"{MARK}%00",
    f"{MARK}%0A",
    f"C:%5C{MARK}",
    f"file:%2F%2F%2F{MARK}",
    f"org%2F{MARK}",
    f"org%2F{MARK}@main",
    f"~%2F{MARK}",
    f"{MARK}{'x' * 4000}",
]
EVENTS = ("open", "os.", "pathlib.", "glob.", "shutil.", "subprocess.")
"""First parts of the names of audit events about files and programs."""

accesses: list[str] = []
is_recording = False


def record(event: str, arguments: tuple[Any, ...]) -> None:
    if is_recording and event.startswith(EVENTS) and event != "os.putenv" and MARK in str(arguments):
        accesses.append(f"{event}{arguments}")


@pytest.fixture(scope="module")
def hook() -> None:
    sys.addaudithook(record)  # which cannot be removed


@pytest.fixture
def recorded(hook: None) -> Iterator[list[str]]:
    """The accesses to files whose names have the mark."""
    global is_recording
    accesses.clear()
    is_recording = True
    yield accesses
    is_recording = False


def test_accesses_are_recorded(recorded: list[str], tmp_path: Path) -> None:
    (tmp_path / MARK).mkdir()
    assert recorded


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_name_in_a_path_or_a_body_reaches_no_file(
    client: httpx.AsyncClient, recorded: list[str], name: str
) -> None:
    for method, path in (("GET", "/models/{}"), ("POST", "/models/{}/load"), ("POST", "/models/{}/unload")):
        answer = await client.request(method, path.format(name))
        assert answer.status_code == 404
        assert answer.json()["type"] in ("/errors/unknown-model", "/errors/unknown-route")
    body = {"model": str(httpx.URL(f"http://x/{name}").path)[1:], "inputs": images(1).tolist()}
    assert (await client.post("/encode", json=body)).json()["type"] == "/errors/unknown-model"
    assert (await client.post(f"/encode?model={name}", content=b"", headers={"content-type": "image/png"})).is_error
    assert recorded == []


@pytest.mark.parametrize("path", ["..%2f..%2fmain.py", "%2e%2e/main.py", "..%5cmain.py", "%2Fetc%2Fpasswd", "docs%00"])
async def test_static_files_are_those_of_their_folder(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/static/{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown-route")


@pytest.mark.parametrize("name", ["../x", "a/../b", "/a", "a/b/c", "", "a\n", "a b", "x" * 101])
def test_a_name_of_the_settings_has_no_path(weights: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        Registry(Settings(weights_dir=weights, model={name: str(weights)}))


@pytest.mark.parametrize("location", ["../../nowhere", "org/../name", "/nowhere/x", "org/name@../../x/..", "org/name@"])
def test_a_place_that_is_neither_a_folder_nor_in_the_cache_is_refused(weights: Path, location: str) -> None:
    with pytest.raises(CheckpointError):
        Registry(Settings(weights_dir=weights, model={"mine": location}))
