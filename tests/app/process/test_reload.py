"""`manifold serve --config`: a server that follows its file of settings at SIGHUP."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.items import images
from tests.app.server import Served, serve, wait_logged
from tests.conftest import TINY, write_tiny

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX has SIGHUP")

IMAGE = {"inputs": images(1).tolist()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Served]:
    write_tiny(root / "weights")
    write_tiny(root / "elsewhere", "mine", seed=1)
    (root / "manifold.toml").write_text("max_items = 4\nworkers = 1\n")
    options = ("--config", str(root / "manifold.toml"), "--max-pixels", "5000")
    with serve(root, *options, weights=root / "weights") as served:
        yield served


def reload(server: Served, root: Path, text: str, said: str) -> str:
    """Write the file, send SIGHUP, and return what is logged until `said` is."""
    (root / "manifold.toml").write_text(text)
    n_before = len(server.log.read_text())
    server.process.send_signal(signal.SIGHUP)
    wait_logged(server, said)
    return server.log.read_text()[n_before:]


def test_the_file_is_followed_without_a_failed_request(server: Served, root: Path) -> None:
    failures: list[str] = []
    has_ended = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as own:
            while not has_ended.is_set():
                answer = own.post("/encode", json=IMAGE | {"model": TINY})
                if answer.status_code != 200:
                    failures.append(answer.text)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            limits = client.get("/info").json()["limits"]
            assert (limits["max_items"], limits["max_pixels"]) == (4, 5000)
            mine = root / "elsewhere/autoencoders/vanilla/mine"
            text = f'max_items = 7\nmax_pixels = 6000\nworkers = 2\nlog_level = "debug"\n[model]\nmine = "{mine}"\n'
            logged = reload(server, root, text, "the settings were read again; changed: log_level, max_items, model")
            assert "changed settings that need a restart to take effect: workers" in logged
            limits = client.get("/info").json()["limits"]
            assert (limits["max_items"], limits["max_pixels"]) == (7, 5000)  # the option takes precedence
            wait_logged(server, '"message":"model ready","model":"mine"')
            assert client.post("/encode", json=IMAGE | {"model": "mine"}).status_code == 200
            assert client.get("/health/ready").json()["models"] == {"mine": "ready", TINY: "ready"}
    finally:
        has_ended.set()
        thread.join(30)
    assert not failures


def test_a_wrong_file_keeps_the_old_settings_and_is_explained(server: Served, root: Path) -> None:
    before = httpx.get(f"{server.url}/info").json()
    file = root / "manifold.toml"
    for text, said in {
        "max_items = 0\nmax_item = 3\n": (
            f"the settings are wrong, and the old ones stay in force: max_items in {file} is 0; "
            f"it must be a whole number of 1 or more. {file} has the key 'max_item', but there is no setting of that "
            "name. Did you mean max_items?"
        ),
        "max_items = \n": f"--config is '{file}', which is not a file in TOML: Invalid value (at line 1, column 13).",
        'models = ["nobody"]\n': f"models in {file} names 'nobody', but there is no such model.",
    }.items():
        logged = reload(server, root, text, json.dumps(said)[1:-1])
        assert '"level":"error"' in logged
        assert httpx.get(f"{server.url}/info").json() == before
    assert httpx.post(f"{server.url}/encode", json=IMAGE | {"model": TINY}).status_code == 200


def test_plain_uvicorn_reads_the_file_that_the_variable_names(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "manifold.toml").write_text("max_items = 3\n")
    with serve(tmp_path, "--config", str(tmp_path / "manifold.toml"), weights=weights, kind="plain") as served:
        assert httpx.get(f"{served.url}/info").json()["limits"]["max_items"] == 3
