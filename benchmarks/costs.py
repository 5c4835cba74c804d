"""What serving costs beside the model: `python -m benchmarks.costs`.

How long a server with all shipped models takes from its start to being ready; and the processor's time for a short
`/encode`, without what the model's forward pass takes of it: on one thread of torch, which does not spin. Of a client
that waits for each answer, and of many, whose texts share passes. A pass, of as many texts, is taken for as long as it
takes with nothing else between; in a server, where others have had the caches, it takes longer. So does all else the
more the clients compute: they do little.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import cast

import click
import httpx
import torch
import uvloop
from rich.console import Console

from app.media import JSON
from app.settings import Settings
from benchmarks.load import Load, generate, http_request
from benchmarks.processor import spent_by
from benchmarks.servers import Server, manifold
from models.allocator import keep_freed_memory
from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.codecs.text.codec import TextCodec
from models.precision import Choice, lower
from models.tasks import ENCODE_TEXT
from models.tasks import text as t

MODEL, TEXT = "sentence-mini-en", "A dog runs through the grass."
N_CLIENTS = (1, 32)
N_SAMPLES = 20
"""Of the sizes of batches, in a round."""


def start_to_ready_s() -> float:
    """Of all shipped models."""
    started_at = time.perf_counter()
    with manifold():
        return time.perf_counter() - started_at


@dataclass(frozen=True)
class Costs:
    """Of one short `/encode`, in milliseconds of processor time: the server's, of which the event loop's; and its share
    of a forward pass of `n_texts`.
    """

    served: float
    looped: float
    computed: float
    n_texts: int

    @property
    def outside(self) -> float:
        """Of the model."""
        return self.served - self.computed


def measured(n_rounds: int, seconds: float) -> dict[int, list[Costs]]:
    """By the number of clients, which wait for their answers; the model alone, in turns with each, for `seconds`."""
    with manifold("--models", MODEL, "--torch-threads", "1") as server, torch.inference_mode():
        compute = forward_pass()

        def one(n_clients: int) -> Costs:
            before = spent_by(server.process_id)
            load, sizes = uvloop.run(_asked(server, n_clients, seconds))
            spent = spent_by(server.process_id).since(before)
            if load.n_failed:
                raise RuntimeError(f"{load.n_failed} of {load.n_ok + load.n_failed} requests failed")
            served, looped = (1000 * one / (load.n_ok + len(sizes)) for one in spent)
            n_texts = round(median(sizes)) if sizes else 1
            until, n_passes, started_at = time.perf_counter() + seconds, 0, time.process_time()
            while time.perf_counter() < until:
                compute(n_texts)
                n_passes += 1
            computed = 1000 * (time.process_time() - started_at) / (n_passes * n_texts)
            return Costs(served, looped, computed, n_texts)

        rounds = [{n: one(n) for n in N_CLIENTS} for _ in range(1 + n_rounds)][1:]  # the first warms up
        return {n: [its[n] for its in rounds] for n in N_CLIENTS}


async def _asked(server: Server, n_clients: int, seconds: float) -> tuple[Load, list[int]]:
    """A load and, where there are several clients, of a few requests beside it how many texts shared their pass."""
    body, headers = json.dumps({"model": MODEL, "inputs": [TEXT]}).encode(), {"content-type": JSON}
    request = http_request("/encode", body, headers)
    load = asyncio.create_task(generate(server.port, request, n_connections=n_clients, seconds=seconds))
    sizes: list[int] = []
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 nothing is encrypted
        while n_clients > 1 and not load.done():
            await asyncio.sleep(seconds / N_SAMPLES)
            answer = await client.post(f"{server.url}/encode", content=body, headers=headers)
            sizes.append(int(answer.raise_for_status().headers["x-batch-size"]))
    return await load, sizes


def forward_pass() -> Callable[[int], object]:
    """Of the model, for as many of the same text, cut into tokens already."""
    keep_freed_memory()
    torch.set_num_threads(1)
    (folder,) = [folder for folder in find_checkpoints(Settings().weights_dir) if folder.name == MODEL]
    checkpoint = read_checkpoint(folder)
    model = load_model(checkpoint)
    lower(model, Choice("float32", "what the server chooses"))
    request = t.EncodeTextRequest(tokens=cast("TextCodec", checkpoint.codec).encode(TEXT))
    return lambda n_texts: ENCODE_TEXT.run(model, [request] * n_texts)


@click.command()
@click.option("--starts", default=3, show_default=True, help="Of which the median is told.")
@click.option("--rounds", "n_rounds", default=9, show_default=True, help="The same, of costs.")
@click.option("--seconds", default=1.0, show_default=True, help="Of server and of model, in each round.")
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
        "texts a forward pass": median(one.n_texts for one in rounds),
        "processor time of a short /encode, ms": round(median(one.served for one in rounds), 3),
        "of which the event loop's, ms": round(median(one.looped for one in rounds), 3),
        "its share of the forward pass alone, ms": round(median(one.computed for one in rounds), 3),
        "outside of the model, ms": round(median(one.outside for one in rounds), 3),
        "the least and the most of a round": [round(end(one.outside for one in rounds), 3) for end in (min, max)],
    }


if __name__ == "__main__":
    main()
