"""Start servers in their own processes, on free ports, and end them with everything that they started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

READY_TIMEOUT_S, STOP_TIMEOUT_S = 120.0, 15.0
STDERR = 2


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def process_id(self) -> int:
        """Return the id of the process."""
        return self.process.pid

    @property
    def url(self) -> str:
        """Return the URL of the root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def start_server(
    *command: str,
    python: str = sys.executable,
    health_path: str = "/health/ready",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    prepare: str = "",
    output: int | IO[bytes] = STDERR,
) -> Iterator[Server]:
    """Run `python *command --port PORT` and yield the server once its health path answers.

    The server is ended afterwards, with all processes that it started. What it prints goes to the standard error,
    because the standard output is for results.

    Args:
        command: Arguments of the interpreter.
        python: The interpreter.
        health_path: A path that answers with 200 or 404 when the server is ready.
        cwd: The directory to run in; by default the current one.
        environment: Variables that are added to this process's environment.
        prepare: Commands of a shell, which runs them and then becomes the server.
        output: Where the standard output and the standard error go, as `subprocess` takes it.

    Raises:
        RuntimeError: The server did not become ready in time.
    """
    shell = ("sh", "-ec", f'{prepare}\nexec "$@"', "sh") if prepare else ()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603
        (*shell, python, *command, "--port", str(port)),
        start_new_session=True,
        stdout=output,
        stderr=None if output == STDERR else output,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}{health_path}")
        yield Server(port, process)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_TIMEOUT_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def start_manifold(
    *options: str,
    tree: Path | None = None,
    environment: Mapping[str, str] | None = None,
    prepare: str = "",
    output: int | IO[bytes] = STDERR,
) -> Iterator[Server]:
    """Run `manifold serve *options`, by default of the source tree that this module belongs to.

    Args:
        options: Options of `manifold serve`.
        tree: The root of another checkout. The server runs in it, and its packages come first on the import path.
        environment: Variables that are added to this process's environment.
        prepare: Commands of a shell, which runs them and then becomes the server.
        output: Where the standard output and the standard error go, as `subprocess` takes it.

    Raises:
        RuntimeError: The server did not become ready in time.
    """
    command = ("-c", "from app.cli import main; main()", "serve", "--log-level", "warning", *options)
    variables = dict(environment or {})
    if tree is not None:
        tree = tree.resolve()
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(tree), os.environ.get("PYTHONPATH"))))
    with start_server(*command, cwd=tree, environment=variables, prepare=prepare, output=output) as server:
        yield server


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(verify=False) as client:  # noqa: S501 nothing is encrypted, and reading certificates takes long
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.TransportError):
                if client.get(url).status_code in (200, 404):  # some peers have no health path
                    return
            time.sleep(0.05)
    raise RuntimeError(f"the server at {url} did not become ready")
