"""What serving costs beside the model: `python -m benchmarks.costs`.

How long a server with all shipped models takes from its start to being ready; and the processor's time for a short
`/encode`, without what the model's forward pass takes of it: on one thread of torch, which does not spin. The pass is
taken for as long as it takes with nothing else between; in a server, where others have had the caches, it takes longer.
So does all else the more the client computes: it is one that does little.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import cast

import click
import psutil
import torch
import uvloop
from rich.console import Console

from app.media import JSON
from app.settings import Settings
from benchmarks.load import generate, http_request
from benchmarks.servers import manifold
from models.allocator import keep_freed_memory
from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.codecs.text.codec import TextCodec
from models.precision import Choice, lower
from models.tasks import ENCODE_TEXT
from models.tasks import text as t

MODEL, TEXT = "sentence-mini-en", "A dog runs through the grass."


def start_to_ready_s() -> float:
    """Of all shipped models."""
    started_at = time.perf_counter()
    with manifold():
        return time.perf_counter() - started_at


@dataclass(frozen=True)
class Costs:
    """Of one short `/encode`, in milliseconds of processor time: the server's, and that of the forward pass alone."""

    served: float
    computed: float

    @property
    def outside(self) -> float:
        """Of the model."""
        return self.served - self.computed


def rounds_of(n_rounds: int, seconds: float) -> list[Costs]:
    """A client that waits for each answer, and the model alone, in turns of so many seconds each."""
    body = json.dumps({"model": MODEL, "inputs": [TEXT]}).encode()
    request = http_request("/encode", body, {"content-type": JSON})
    with manifold("--models", MODEL, "--torch-threads", "1") as server, torch.inference_mode():
        process, compute = psutil.Process(server.process_id), forward_pass()

        def ask() -> int:
            load = uvloop.run(generate(server.port, request, n_connections=1, seconds=seconds))
            if load.n_failed:
                raise RuntimeError(f"{load.n_failed} of {load.n_ok + load.n_failed} requests failed")
            return load.n_ok

        def run() -> int:
            until, n = time.perf_counter() + seconds, 0
            while time.perf_counter() < until:
                compute()
                n += 1
            return n

        def one() -> Costs:
            return Costs(_each_ms(ask, lambda: sum(process.cpu_times()[:2])), _each_ms(run, time.process_time))

        one()  # warms up
        return [one() for _ in range(n_rounds)]


def forward_pass() -> Callable[[], object]:
    """Of the model, for the same text, cut into tokens already."""
    keep_freed_memory()
    torch.set_num_threads(1)
    (folder,) = [folder for folder in find_checkpoints(Settings().weights_dir) if folder.name == MODEL]
    checkpoint = read_checkpoint(folder)
    model = load_model(checkpoint)
    lower(model, Choice("float32", "what the server chooses"))
    request = t.EncodeTextRequest(tokens=cast("TextCodec", checkpoint.codec).encode(TEXT))
    return lambda: ENCODE_TEXT.run(model, [request])


def _each_ms(run: Callable[[], int], spent_s: Callable[[], float]) -> float:
    """What one of those that it ran has spent."""
    before = spent_s()
    n = run()
    return 1000 * (spent_s() - before) / n


@click.command()
@click.option("--starts", default=3, show_default=True, help="Of which the median is told.")
@click.option("--rounds", "n_rounds", default=9, show_default=True, help="The same, of costs.")
@click.option("--seconds", default=1.0, show_default=True, help="Of server and of model, in each round.")
def main(starts: int, n_rounds: int, seconds: float) -> None:
    """Print both as JSON."""
    with Console(stderr=True).status("servers"):
        ready = median(start_to_ready_s() for _ in range(starts))
        rounds = rounds_of(n_rounds, seconds)
    told = {
        "start to ready, s": round(ready, 2),
        "models": len(find_checkpoints(Settings().weights_dir)),
        "processor time of a short /encode, ms": round(median(one.served for one in rounds), 3),
        "the model's forward pass alone, ms": round(median(one.computed for one in rounds), 3),
        "outside of the model, ms": round(median(one.outside for one in rounds), 3),
        "the least and the most of a round": [round(end(one.outside for one in rounds), 3) for end in (min, max)],
    }
    click.echo(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
