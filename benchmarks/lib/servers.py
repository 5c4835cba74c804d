"""Servers in processes of their own, on free ports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx

READY_TIMEOUT_S, END_TIMEOUT_S = 60.0, 15.0
STDERR = 2


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
def running(*command: str, python: str = sys.executable, health: str = "/health/ready") -> Iterator[Server]:
    """`python *command --port …`, given once `health` answers; ended afterwards, with all that it started.

    What it prints goes to standard error: ours is for figures.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = (python, *command, "--port", str(port))
    process = subprocess.Popen(command, start_new_session=True, stdout=STDERR)  # noqa: S603
    try:
        _wait(process, f"http://127.0.0.1:{port}{health}")
        yield Server(port, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=END_TIMEOUT_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def manifold(*options: str) -> Iterator[Server]:
    """`manifold serve *options`."""
    with running("-c", "from app.cli import main; main()", "serve", "--log-level", "warning", *options) as server:
        yield server


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(verify=False) as client:  # noqa: S501 nothing is encrypted, and reading certificates takes long
        while time.monotonic() < until and process.poll() is None:
            with suppress(httpx.TransportError):
                if client.get(url).status_code in (200, 404):  # the naive one has no health
                    return
            time.sleep(0.05)
    raise RuntimeError(f"the server at {url} did not become ready")
