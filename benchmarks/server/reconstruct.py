"""`/reconstruct`, one 28x28 image a request: this server in JSON and npy beside the naive handler, in one run."""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import orjson

from benchmarks.lib.servers import manifold, running
from benchmarks.server.load import Load, http_request
from benchmarks.server.naive import MODEL
from models.codecs.arrays import to_npy


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
        running("-m", "uvicorn", "--factory", "benchmarks.server.naive:create_app", "--log-level", "warning") as naive,
        manifold("--models", MODEL) as ours,
    ):
        cases = [
            _Case(name="naive FastAPI handler, JSON", port=naive.port, request=as_json),
            _Case(name="Manifold, JSON", port=ours.port, request=as_json),
            _Case(name="Manifold, npy", port=ours.port, request=as_npy),
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
    command = [sys.executable, "-m", "benchmarks.server.load", "--port", str(case.port)]
    command += ["--connections", str(n_connections), "--seconds", str(seconds)]
    done = subprocess.run(command, input=case.request, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return Load(**json.loads(done.stdout))


def _median(loads: tuple[Load, ...]) -> Load:
    middle = statistics.median_low(load.requests_per_s for load in loads)
    return next(load for load in loads if load.requests_per_s == middle)
