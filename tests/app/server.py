"""A real server process on a real socket."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.settings import Settings

SHIPPED = Path(Settings.model_fields["weights_dir"].default)
KINDS = ("tuned", "plain", "unhooked")
"""`manifold serve`, uvicorn with the application's factory, and `manifold serve` where uvicorn lacks a private name."""

_CLI = "from app.cli import main; main()"


@dataclass(frozen=True)
class Served:
    """The address of a server, its process, the file of its log, and which of `KINDS` it is."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    kind: str = "tuned"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx.URL(self.url)
        assert url.port
        return url.host, url.port


@contextmanager
def serve(tmp_path: Path, *options: str, weights: Path = SHIPPED, kind: str = "tuned") -> Iterator[Served]:
    """Run a server of one of `KINDS` on a free port, and give it once it is ready.

    `options` are those of `manifold serve`; a plain server is given them as environment variables.
    """
    port = free_port()
    log = tmp_path / f"server-{kind}.log"
    options = ("--port", str(port), "--weights-dir", str(weights), *options)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MANIFOLD_")}
    environment["PYTHONFAULTHANDLER"] = "1"
    if kind == "plain":
        command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
        environment |= _variables(options)
    elif kind == "unhooked":
        command = [sys.executable, "-m", "tests.app.process.unhooked", "serve", *options]
    else:
        command = [sys.executable, "-c", _CLI, "serve", *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stderr=out, stdout=subprocess.DEVNULL, env=environment)
    try:
        wait_ready(f"http://127.0.0.1:{port}", process, log)
        yield Served(f"http://127.0.0.1:{port}", process, log, kind)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _variables(options: tuple[str, ...]) -> dict[str, str]:
    names = (name.removeprefix("--").replace("-", "_").upper() for name in options[::2])
    return {f"MANIFOLD_{name}": value for name, value in zip(names, options[1::2], strict=True)}


def wait_ready(url: str, process: "subprocess.Popen[bytes]", log: Path, within_s: float = 100.0) -> None:
    deadline = time.monotonic() + within_s
    with httpx.Client(verify=False) as client:  # noqa: S501 reading certificates takes longer than all the rest
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(url + "/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
    process.send_signal(signal.SIGABRT)  # upon which Python writes into the log where each thread is
    process.wait(30)
    raise AssertionError(f"the server never became ready: {log.read_text()}")


def wait_logged(server: Served, text: str, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while text not in server.log.read_text():
        assert time.monotonic() < deadline, f"{text!r} is not in the log: {server.log.read_text()}"
        time.sleep(0.02)


def n_logged_requests(log: Path, path: str) -> int:
    """Requests of that path the server says it answered with 200."""
    return len(re.findall(rf'"path":"{path}","status":200', log.read_text()))
