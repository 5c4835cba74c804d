"""`/reconstruct`, one 28x28 image a request: this server in JSON and npy beside the naive handler, in one run."""

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np
import orjson

from benchmarks.load import Load, http_request
from benchmarks.naive import MODEL
from models.codecs.arrays import to_npy

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to ask, its median round, and its requests/s over the naive handler's."""

    name: str
    load: Load
    ratio: float


@dataclass(frozen=True, kw_only=True)
class _Case:
    name: str
    port: int
    request: bytes


def run(*, n_connections: int, seconds: float, n_rounds: int) -> list[Row]:
    """Start both servers, then measure the cases in turn, `n_rounds` times, so that drift hits them alike."""
    image = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    body = orjson.dumps({"inputs": [image]}, option=orjson.OPT_SERIALIZE_NUMPY)
    as_json = http_request("/reconstruct", body, {"content-type": "application/json"})
    npy_headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    as_npy = http_request("/reconstruct", to_npy(image[None]), npy_headers)
    with (
        _server("-m", "uvicorn", "--factory", "benchmarks.naive:create_app", "--log-level", "warning") as naive,
        _server("-c", "from app.cli import main; main()", "serve", "--models", MODEL, "--log-level", "warning") as ours,
    ):
        cases = [
            _Case(name="naive FastAPI handler, JSON", port=naive, request=as_json),
            _Case(name="Manifold, JSON", port=ours, request=as_json),
            _Case(name="Manifold, npy", port=ours, request=as_npy),
        ]
        for case in cases:
            _measure(case, n_connections, 1.0)
        rounds = [[_measure(case, n_connections, seconds) for case in cases] for _ in range(n_rounds)]
    medians = [_median(loads) for loads in zip(*rounds, strict=True)]
    rate = medians[0].requests_per_s
    return [
        Row(name=case.name, load=load, ratio=load.requests_per_s / rate)
        for case, load in zip(cases, medians, strict=True)
    ]


def _measure(case: _Case, n_connections: int, seconds: float) -> Load:
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(case.port)]
    command += ["--connections", str(n_connections), "--seconds", str(seconds)]
    done = subprocess.run(command, input=case.request, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return Load(**json.loads(done.stdout))


def _median(loads: tuple[Load, ...]) -> Load:
    middle = statistics.median_low(load.requests_per_s for load in loads)
    return next(load for load in loads if load.requests_per_s == middle)


@contextmanager
def _server(*command: str) -> Iterator[int]:
    """A server in its own process, given once it answers; ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)])  # noqa: S603
    try:
        _wait(process, f"http://127.0.0.1:{port}")
        yield port
    finally:
        process.terminate()
        process.wait()


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
