"""A real server process on a real socket."""

import os
import re
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


@dataclass(frozen=True)
class Served:
    """Where it listens, and its process."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path


@contextmanager
def serve(tmp_path: Path, *options: str, weights: Path = SHIPPED) -> Iterator[Served]:
    """`manifold serve` on a free port, given once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "server.log"
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", str(port)]
    command += ["--weights-dir", str(weights), *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MANIFOLD_")}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stderr=out, env=environment)
    try:
        wait_ready(f"http://127.0.0.1:{port}", process, log)
        yield Served(f"http://127.0.0.1:{port}", process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def wait_ready(url: str, process: "subprocess.Popen[bytes]", log: Path, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    with httpx.Client(verify=False) as client:  # noqa: S501 reading certificates takes longer than all the rest
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(url + "/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
    raise AssertionError(f"the server never became ready: {log.read_text()}")


def n_logged_requests(log: Path, path: str) -> int:
    """Requests of that path the server says it answered with 200."""
    return len(re.findall(rf'"path":"{path}","status":200', log.read_text()))
