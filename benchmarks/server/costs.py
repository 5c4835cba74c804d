"""Measure what serving costs in addition to the model: the time to start, memory, and processor time."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click
import httpx
from rich.progress import Progress

from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.memory import resident_bytes
from benchmarks.lib.processor import processor_time
from benchmarks.lib.report import (
    Report,
    json_option,
    print_report,
    progress,
    table,
)
from benchmarks.lib.servers import Server, start_manifold, start_server
from benchmarks.server.load import run_closed_loop
from benchmarks.server.metered_server import read_meter
from benchmarks.server.requests import AUTOENCODER, ENCODER, encode_request
from models.checkpoint.common import WEIGHTS_FILE

CONNECTIONS = (1, 32)
LARGE_MODEL = "gpt2"
"""Shape of the model whose memory is measured."""
SETTLE_S = 3.0
"""Time in seconds after which the memory of a server that is ready is read."""


@dataclass(frozen=True)
class Start:
    """The start of a server with all shipped models."""

    seconds: float
    n_models: int


def measure_start() -> Start:
    """Measure how long a server takes from its start to being ready."""
    started_at = time.perf_counter()
    with start_manifold() as server:
        seconds = time.perf_counter() - started_at
        return Start(seconds, len(httpx.get(f"{server.url}/models").json()["models"]))


def measure_memory(shape: str) -> float:
    """Return the resident memory that a model adds to a server that is ready, over the size of its weights.

    The model has random weights in float32. The memory is that of the same server without it.
    """
    with tempfile.TemporaryDirectory() as directory:
        folder = write_checkpoint(shape, Path(directory) / shape)
        n_weight_bytes = (folder / WEIGHTS_FILE).stat().st_size
        resident = []
        for models in ((), ("--model", f"{shape}={folder}")):
            with start_manifold("--models", AUTOENCODER, *models) as server:
                time.sleep(SETTLE_S)
                resident.append(resident_bytes(server.process_id))
    return (resident[1] - resident[0]) / n_weight_bytes


class Reading(NamedTuple):
    """What a server has spent and computed since its start."""

    total_s: float
    event_loop_s: float
    n_passes: float
    n_items: float
    model_s: float


def read(server: Server, meter: Path) -> Reading:
    """Read the processor time of a metered server and its forward passes."""
    return Reading(*processor_time(server.process_id), *read_meter(meter))


@dataclass(frozen=True)
class Costs:
    """Processor time of a short `/encode` in milliseconds; the forward pass is shared by `texts_per_pass` requests."""

    total_ms: float
    event_loop_ms: float
    model_ms: float
    serving_ms: float
    """Processor time outside of the model."""
    texts_per_pass: float


def costs_between(earlier: Reading, later: Reading) -> Costs:
    """Divide what a server has spent between two readings among its requests."""
    spent = Reading(*(after - before for before, after in zip(earlier, later, strict=True)))
    total, event_loop, model = (1000 * s / spent.n_items for s in (spent.total_s, spent.event_loop_s, spent.model_s))
    return Costs(total, event_loop, model, total - model, texts_per_pass=spent.n_items / spent.n_passes)


def measure_costs(n_rounds: int, seconds: float, progress_bar: Progress) -> dict[int, list[Costs]]:
    """Measure rounds of so many seconds for each number of connections, which take turns.

    Raises:
        RuntimeError: A request failed.
    """
    request = encode_request()
    rounds: dict[int, list[Costs]] = {n: [] for n in CONNECTIONS}
    with tempfile.TemporaryDirectory() as directory:
        meter = Path(directory) / "meter"
        command = ("-m", "benchmarks.server.metered_server", "--meter", str(meter), "--model", ENCODER)
        with start_server(*command, python=sys.executable) as server:
            for number in progress_bar.track(range(1 + n_rounds)):
                for n in CONNECTIONS:
                    before = read(server, meter)
                    load = run_closed_loop(server.port, request, n_connections=n, seconds=seconds)
                    if load.n_failed:
                        raise RuntimeError(f"{load.n_failed} of {load.n_ok + load.n_failed} requests failed")
                    if number > 0:  # the first round warms the server up
                        rounds[n].append(costs_between(before, read(server, meter)))
    return rounds


@click.command()
@click.option("--starts", default=3, show_default=True, help="Starts of a server; the median is printed.")
@click.option("--rounds", "n_rounds", default=9, show_default=True, help="Rounds; medians are printed.")
@click.option("--seconds", default=1.0, show_default=True, help="Length of a round for each number of connections.")
@json_option
def costs(starts: int, n_rounds: int, seconds: float, as_json: bool) -> None:
    """Measure the time to start, and the processor time of a request.

    The start is that of a server with all shipped models. The memory is what a model of the shape of GPT-2 124M adds to
    a server. The processor time is that of a short /encode, of one client
    that waits for each answer, and of 32, whose texts share forward passes. The model runs on one thread of torch,
    because more would spin while they wait. An observer in the server meters the forward passes.

    \b
    Keys of the JSON output:
      ready_seconds              from the start of a server to its being ready, the median
      n_models                   the models that it serves
      memory_over_weights        resident memory that GPT-2 124M adds to a server, over the size of its weights
      costs                      a list, one entry for each number of connections, with medians of the rounds:
        connections              how many clients at once
        texts_per_pass           texts that share a forward pass
        total_ms                 processor time of the server for a request
        event_loop_ms            the event loop's part of it
        model_ms                 the forward pass's part of it
        serving_ms               total_ms without model_ms
        serving_ms_min           the least of a round
        serving_ms_max           the most of a round
    """
    with progress("starts") as bar:
        measured = [measure_start() for _ in bar.track(range(starts))]
    with progress("rounds") as bar:
        rounds_by_connections = measure_costs(n_rounds, seconds, bar)
    results = {
        "ready_seconds": round(median(start.seconds for start in measured), 2),
        "n_models": measured[0].n_models,
        "memory_over_weights": round(measure_memory(LARGE_MODEL), 2),
        "costs": [{"connections": n, **summarise(rounds)} for n, rounds in rounds_by_connections.items()],
    }
    print_report(_report(results), results, as_json=as_json)


def summarise(rounds: Sequence[Costs]) -> dict[str, float]:
    """Return the medians of all rounds with the keys of the JSON output."""
    serving_ms = [each.serving_ms for each in rounds]
    return {
        "texts_per_pass": round(median(each.texts_per_pass for each in rounds), 1),
        "total_ms": round(median(each.total_ms for each in rounds), 3),
        "event_loop_ms": round(median(each.event_loop_ms for each in rounds), 3),
        "model_ms": round(median(each.model_ms for each in rounds), 3),
        "serving_ms": round(median(serving_ms), 3),
        "serving_ms_min": round(min(serving_ms), 3),
        "serving_ms_max": round(max(serving_ms), 3),
    }


def _report(results: Mapping[str, Any]) -> Report:
    rows = [
        [
            str(each["connections"]),
            f"{each['texts_per_pass']:.1f}",
            *(f"{each[key]:.3f}" for key in ("total_ms", "event_loop_ms", "model_ms", "serving_ms")),
            f"{each['serving_ms_min']:.3f} to {each['serving_ms_max']:.3f}",
        ]
        for each in results["costs"]
    ]
    columns = ["connections", "texts a pass", "total", "event loop", "model", "without model", "range of rounds"]
    return Report(
        name="costs",
        title="What serving costs in addition to the model",
        command="manifold bench costs",
        parts=[
            f"A server with {results['n_models']} models is ready after {results['ready_seconds']:.2f} s. GPT-2 124M "
            f"in float32 adds {results['memory_over_weights']:.2f} times the size of its weights to the memory.",
            "Milliseconds of processor time for a short `/encode`:",
            table(columns, rows),
        ],
    )
