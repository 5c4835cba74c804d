"""What peers are asked, asked of this project's engine: `python -m benchmarks.engines.own < job.json`."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import cast

import click
import torch

from app.engine.engine import Engine
from app.process.serve import SWITCH_INTERVAL_S
from app.settings import Settings
from benchmarks.engines.peers.common import Job, asked
from models.allocator import keep_freed_memory
from models.checkpoint import load_model, read_checkpoint
from models.family import Model
from models.layers.generation import Generator
from models.layers.text_model import plain_tokens
from models.precision import Choice, Precision, lower
from models.tasks import ENCODE_TEXT, GENERATE, Request, Task
from models.tasks import text as t


@click.command()
def main() -> None:
    """Print tokens a second as JSON, and the least cosine of random codes to those in float32."""
    job = asked()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    model, cosine = loaded(job)
    found = asyncio.run(rates(job, model))
    answer = {"package": f"manifold, torch {torch.__version__}", "rates": {str(job.n_threads): found}, "cosine": cosine}
    sys.stdout.write(json.dumps(answer) + "\n")


def loaded(job: Job) -> tuple[Model, float]:
    """The model, and the least cosine, see `lower`."""
    keep_freed_memory()
    model = load_model(read_checkpoint(Path(job.folder)), device=job.device)
    return model, lower(model, Choice(cast("Precision", job.precision), "asked for")).cosine


async def rates(job: Job, model: Model) -> dict[str, float]:
    """Tokens a second in batches of about as many texts as each of the sizes, or new ones of so many prompts at once.

    All of them are handed over together; the median of the rounds.
    """
    found: dict[str, float] = {}
    for size in job.sizes:
        task, requests = asked_of(job, size)
        n_tokens = size * job.n_new or sum(map(len, job.texts))
        settings = Settings(
            device=job.device,
            workers=job.n_threads,
            torch_threads=1,
            max_prefix_tokens=0,  # the same prompts come again and again, and peers read them each time
            max_queue_items=max(len(requests), 4096),
            max_running_sequences=max(len(requests), 64),
        )
        budget = settings.max_batch_tokens if job.n_new else round(size * n_tokens / len(job.texts))
        replicas = [model for _ in settings.devices(generates=isinstance(model, Generator))]
        engine = Engine("own", replicas, [task], settings, budget=budget)
        found[str(size)] = n_tokens / await _seconds(job, engine, task, requests)
    return found


def asked_of(job: Job, size: int) -> tuple[Task, list[Request]]:
    """All texts, the longest first; or the continuations of so many prompts."""
    if not job.n_new:
        texts = sorted(job.texts, key=len, reverse=True)
        return ENCODE_TEXT, [t.EncodeTextRequest(tokens=plain_tokens(ids)) for ids in texts]
    return GENERATE, [
        t.GenerateRequest(tokens=plain_tokens(ids), max_new_tokens=job.n_new, min_new_tokens=job.n_new)
        for ids in job.texts[:size]
    ]


async def _seconds(job: Job, engine: Engine, task: Task, requests: Sequence[Request]) -> float:
    await engine.started()
    await engine.submit(task, requests)
    spent: list[float] = []
    for _ in range(job.n_rounds):
        started_at = time.perf_counter()
        await engine.submit(task, requests)
        spent.append(time.perf_counter() - started_at)
    await engine.stop()
    return median(spent)


if __name__ == "__main__":
    main()
