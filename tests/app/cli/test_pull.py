"""What `manifold pull` says where a download fails. Downloads that succeed are tested with the hub's client."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main

COMMAND = [sys.executable, "-c", "from app.cli import main; main()", "pull"]


@dataclass
class Hub:
    """Answers every request with one status, or, where that is 0, with nothing until it is released."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hub() -> Iterator[Hub]:
    stand_in = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            stand_in.asked.set()
            if stand_in.status == 0:
                stand_in.released.wait()
                return
            self.send_response(stand_in.status)
            for name, value in {**stand_in.headers, "Content-Length": "2"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield stand_in
    stand_in.released.set()
    server.shutdown()
    server.server_close()


def environment(home: Path, url: str, **more: str) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **more}


def pull(variables: dict[str, str], what: str = "org/name") -> str:
    """Everything that is printed where a download fails."""
    done = subprocess.run([*COMMAND, what], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (
            404,
            {"X-Error-Code": "RepoNotFound"},
            "org/name could not be downloaded: there is no model of this id at {url}, or it is private. "
            "Check the id, and for a private model set HF_TOKEN.",
        ),
        (404, {"X-Error-Code": "RevisionNotFound"}, "org/name has no branch, tag or commit named v9."),
        (
            403,
            {"X-Error-Code": "GatedRepo"},
            "org/name could not be downloaded: its owner asks for consent to terms. Accept them at {url}/org/name, "
            "then set HF_TOKEN to a token of that account.",
        ),
        (
            401,
            {"X-Error-Message": "Invalid credentials in Authorization header"},
            "org/name could not be downloaded: {url} refuses access (status 401). Check HF_TOKEN; public models need "
            "none.",
        ),
        (
            404,
            {},
            "org/name could not be downloaded: {url} answered with status 404. Try again later, and check HF_ENDPOINT "
            "if you set it.",
        ),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(
    hub: Hub, tmp_path: Path, status: int, headers: dict[str, str], said: str
) -> None:
    hub.status, hub.headers = status, headers
    assert pull(environment(tmp_path, hub.url), "org/name@v9") == f"Error: {said.format(url=hub.url)}\n"


def test_an_answer_that_is_no_model_is_a_sentence(hub: Hub, tmp_path: Path) -> None:
    said = pull(environment(tmp_path, hub.url))
    assert said.startswith(f"Error: org/name could not be downloaded: {hub.url} gave an answer that cannot be used (")
    assert said.endswith("). Check HF_ENDPOINT if you set it.\n")
    assert said.count("\n") == 1


def test_an_id_that_the_client_refuses_is_a_sentence(tmp_path: Path) -> None:
    said = pull(environment(tmp_path, "http://127.0.0.1:9"), "org/two--hyphens")
    assert said == "Error: org/two--hyphens is not an id that the hub accepts.\n"


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert pull(environment(tmp_path, url)) == (
            f"Error: org/name could not be downloaded: the connection to {url} failed. Check the network, and "
            "HF_ENDPOINT if you set it, then run the same command again: it goes on where it was.\n"
        )


def test_a_client_that_is_kept_offline_says_so(tmp_path: Path) -> None:
    said = pull(environment(tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1"))
    assert said == "Error: org/name could not be downloaded: the variable HF_HUB_OFFLINE forbids it. Unset it.\n"


def test_ctrl_c_ends_a_download_at_once(hub: Hub, tmp_path: Path) -> None:
    hub.status = 0
    with subprocess.Popen(
        [*COMMAND, "org/name"], env=environment(tmp_path, hub.url), stderr=subprocess.PIPE, text=True
    ) as process:
        assert hub.asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "\nInterrupted; run the same command again to go on from here.\n")


@pytest.mark.parametrize("what", ["tiny", "a/b/c", "org/name@", ""])
def test_what_is_no_id_says_what_it_must_be(what: str) -> None:
    result = CliRunner().invoke(main, ["pull", what])
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"Error: {what!r} is not an id of the hub; it must be ORG/NAME, and may end with @REVISION and :SUBFOLDER.\n"
    )
