"""What serving costs beside the model: `python -m benchmarks.costs`.

How long a server with all shipped models takes from its start to being ready; and the processor's time for a short
`/encode`, without what the model's forward pass takes of it: on one thread of torch, which does not spin.
"""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import cast

import click
import httpx
import psutil
import torch
from rich.console import Console

from app.settings import Settings
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


def served_ms(n_requests: int) -> float:
    """The server's processor time for one request of a client that waits for each answer."""
    with manifold("--models", MODEL, "--torch-threads", "1") as server, httpx.Client(base_url=server.url) as client:
        process = psutil.Process(server.process_id)
        body = {"model": MODEL, "inputs": [TEXT]}

        def ask() -> None:
            client.post("/encode", json=body).raise_for_status()

        return _each_ms(ask, lambda: sum(process.cpu_times()[:2]), n_requests)


def computed_ms(n_requests: int) -> float:
    """The processor time of the model for the same text, cut into tokens already."""
    keep_freed_memory()
    torch.set_num_threads(1)
    (folder,) = [folder for folder in find_checkpoints(Settings().weights_dir) if folder.name == MODEL]
    checkpoint = read_checkpoint(folder)
    model = load_model(checkpoint)
    lower(model, Choice("float32", "what the server chooses"))
    request = t.EncodeTextRequest(tokens=cast("TextCodec", checkpoint.codec).encode(TEXT))
    with torch.inference_mode():
        return _each_ms(lambda: ENCODE_TEXT.run(model, [request]), time.process_time, n_requests)


def _each_ms(run: Callable[[], object], spent_s: Callable[[], float], n: int) -> float:
    """What one of `n` runs spends, once some are done."""
    for _ in range(n // 10):
        run()
    before = spent_s()
    for _ in range(n):
        run()
    return 1000 * (spent_s() - before) / n


@click.command()
@click.option("--starts", default=3, show_default=True, help="Of which the median is told.")
@click.option("--requests", "n_requests", default=2000, show_default=True)
def main(starts: int, n_requests: int) -> None:
    """Print both as JSON."""
    with Console(stderr=True).status("servers"):
        ready = median(start_to_ready_s() for _ in range(starts))
        served, computed = served_ms(n_requests), computed_ms(n_requests)
    told = {
        "start to ready, s": round(ready, 2),
        "models": len(find_checkpoints(Settings().weights_dir)),
        "processor time of a short /encode, ms": round(served, 3),
        "of which the model, ms": round(computed, 3),
        "outside of the model, ms": round(served - computed, 3),
    }
    click.echo(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
