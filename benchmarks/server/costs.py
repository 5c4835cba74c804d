"""What serving costs beside the model: `python -m benchmarks.server.costs`.

How long a server with all shipped models takes from its start to being ready; and the processor's time for a short
`/encode`, of which the model's, and what is outside of it: on one thread of torch, which does not spin. Of a client
that waits for each answer, and of many, whose texts share passes.
"""

import json
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from statistics import median
from threading import Lock
from typing import Any, NamedTuple

import click
import uvloop
from rich.console import Console

from app import cli
from app.http.content import JSON
from app.settings import Settings
from benchmarks.lib.processor import Spent, spent_by
from benchmarks.lib.servers import manifold, running
from benchmarks.server.load import generate, http_request
from models.checkpoint import find_checkpoints
from models.tasks import Task

MODEL, TEXT = "sentence-mini-en", "A dog runs through the grass."
N_CLIENTS = (1, 32)


def start_to_ready_s() -> float:
    """Of all shipped models."""
    started_at = time.perf_counter()
    with manifold():
        return time.perf_counter() - started_at


class Passes(NamedTuple):
    """How many there have been, of how many items; and seconds of the processor, of the threads that made them."""

    n: float
    n_items: float
    seconds: float

    def since(self, before: "Passes") -> "Passes":
        """What came after."""
        return Passes(*(late - early for late, early in zip(self, before, strict=True)))


_PASSES = struct.Struct("3d")


def _read(meter: Path) -> Passes:
    return Passes(*_PASSES.unpack(meter.read_bytes()))


def serve_with_a_meter(meter: str, *options: str) -> None:
    """`manifold serve *options`, which keeps its `Passes` in a file."""
    with Path(meter).open("r+b") as file:
        shared, lock, run = mmap(file.fileno(), _PASSES.size), Lock(), Task.run

    def metered(self: Task, model: object, requests: Sequence[Any]) -> Sequence[Any]:
        started_at = time.thread_time()
        results = run(self, model, requests)
        spent = time.thread_time() - started_at
        with lock:
            n, n_items, seconds = _PASSES.unpack_from(shared)
            _PASSES.pack_into(shared, 0, n + 1, n_items + len(requests), seconds + spent)
        return results

    Task.run = metered  # type: ignore[method-assign]
    cli.main(("serve", "--log-level", "warning", *options))


@dataclass(frozen=True)
class Costs:
    """Of one short `/encode`, in milliseconds of processor time: the server's, of which the event loop's, and of which
    its share of a forward pass of `n_texts`.
    """

    served: float
    looped: float
    computed: float
    n_texts: float

    @classmethod
    def of(cls, spent: Spent, passes: Passes) -> "Costs":
        """Of each item of them."""
        served, looped, computed = (1000 * seconds / passes.n_items for seconds in (*spent, passes.seconds))
        return cls(served, looped, computed, n_texts=passes.n_items / passes.n)

    @property
    def outside(self) -> float:
        """Of the model."""
        return self.served - self.computed


def measured(n_rounds: int, seconds: float) -> dict[int, list[Costs]]:
    """By the number of clients, which wait for their answers, for so long in each round."""
    body = json.dumps({"model": MODEL, "inputs": [TEXT]}).encode()
    request = http_request("/encode", body, {"content-type": JSON})
    with tempfile.TemporaryDirectory() as place:
        meter = Path(place) / "meter"
        meter.write_bytes(bytes(_PASSES.size))
        serve = "import sys; from benchmarks.server.costs import serve_with_a_meter; serve_with_a_meter(*sys.argv[1:])"
        with running("-c", serve, str(meter), "--models", MODEL, "--torch-threads", "1") as server:

            def one(n_clients: int) -> Costs:
                before, counted = spent_by(server.process_id), _read(meter)
                load = uvloop.run(generate(server.port, request, n_connections=n_clients, seconds=seconds))
                if load.n_failed:
                    raise RuntimeError(f"{load.n_failed} of {load.n_ok + load.n_failed} requests failed")
                return Costs.of(spent_by(server.process_id).since(before), _read(meter).since(counted))

            rounds = [{n: one(n) for n in N_CLIENTS} for _ in range(1 + n_rounds)][1:]  # the first warms up
    return {n: [its[n] for its in rounds] for n in N_CLIENTS}


@click.command()
@click.option("--starts", default=3, show_default=True, help="Of which the median is told.")
@click.option("--rounds", "n_rounds", default=9, show_default=True, help="The same, of costs.")
@click.option("--seconds", default=1.0, show_default=True, help="Of each number of clients, in each round.")
def main(starts: int, n_rounds: int, seconds: float) -> None:
    """Print both as JSON."""
    with Console(stderr=True).status("servers"):
        ready = median(start_to_ready_s() for _ in range(starts))
        costs = measured(n_rounds, seconds)
    told = {
        "start to ready, s": round(ready, 2),
        "models": len(find_checkpoints(Settings().weights_dir)),
        **{f"of {n} at once": _told(rounds) for n, rounds in costs.items()},
    }
    click.echo(json.dumps(told, indent=2))


def _told(rounds: Sequence[Costs]) -> dict[str, object]:
    """Medians."""
    return {
        "texts a forward pass": round(median(one.n_texts for one in rounds), 1),
        "processor time of a short /encode, ms": round(median(one.served for one in rounds), 3),
        "of which the event loop's, ms": round(median(one.looped for one in rounds), 3),
        "of which the model's, ms": round(median(one.computed for one in rounds), 3),
        "outside of the model, ms": round(median(one.outside for one in rounds), 3),
        "the least and the most of a round": [round(end(one.outside for one in rounds), 3) for end in (min, max)],
    }


if __name__ == "__main__":
    main()
