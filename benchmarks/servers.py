"""Servers in processes of their own, on free ports."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Server:
    """Where it listens, and its process."""

    port: int
    process_id: int

    @property
    def url(self) -> str:
        """Of its root."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(*command: str) -> Iterator[Server]:
    """`python *command --port …`, given once it answers; ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)])  # noqa: S603
    try:
        _wait(process, f"http://127.0.0.1:{port}")
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def manifold(*options: str) -> Iterator[Server]:
    """`manifold serve *options`."""
    with running("-c", "from app.cli import main; main()", "serve", "--log-level", "warning", *options) as server:
        yield server


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url + "/health/ready").status_code in (200, 404):  # the naive one has no health
                return
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        time.sleep(0.1)
    raise RuntimeError(f"the server at {url} did not become ready")
