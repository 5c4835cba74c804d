"""Run a job on this project's engine; `manifold bench engines` starts it as a process."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import cast

import torch

from app.engine.engine import Engine
from app.engine.turns import ForwardTurns
from app.process.tuning import tune_process
from app.settings import Settings
from benchmarks.engines.peers.protocol import Job, read_job
from models.checkpoint import load_model, read_checkpoint
from models.family import Model
from models.generation.generator import Generator
from models.precision import Precision, PrecisionChoice, convert
from models.tasks import ENCODE_TEXT, GENERATE, Request, Task
from models.tasks.generation import GenerateRequest
from models.tasks.text import EncodeTextRequest, Tokens


def main() -> None:
    """Read a job from the standard input and write the result to the standard output.

    The result has the least cosine of the model's codes to those in float32.
    """
    job = read_job()
    tune_process()
    model, cosine = load(job)
    rates = asyncio.run(measure_rates(job, model))
    package = f"manifold, torch {torch.__version__}"
    result = {"package": package, "tokens_per_second": {str(job.n_threads): rates}, "cosine": cosine}
    sys.stdout.write(json.dumps(result) + "\n")


def load(job: Job) -> tuple[Model, float]:
    """Return the model of a job in its precision, and the least cosine of its codes to those in float32."""
    model = load_model(read_checkpoint(Path(job.folder)), device=job.device)
    choice = PrecisionChoice(cast("Precision", job.precision), "asked for")
    return model, convert(model, choice).cosine


async def measure_rates(job: Job, model: Model) -> dict[str, float]:
    """Measure tokens a second by batch size: of all texts, or new ones of so many prompts; the median of the rounds.

    All requests are submitted together. Texts are batched by the engine, up to as many tokens as so many texts have on
    average.
    """
    rates: dict[str, float] = {}
    for batch_size in job.batch_sizes:
        task, requests = requests_of(job, batch_size)
        n_tokens = batch_size * job.n_new_tokens or sum(map(len, job.texts))
        settings = Settings(
            device=job.device,
            workers=job.n_threads,
            torch_threads=1,
            max_prefix_tokens=0,  # prompts repeat in every round, and peers read them each time
            max_queue_items=max(len(requests), 4096),
            max_running_sequences=max(len(requests), 64),
        )
        budget = settings.max_batch_tokens if job.n_new_tokens else round(batch_size * n_tokens / len(job.texts))
        replicas = [model for _ in settings.devices(generates=isinstance(model, Generator))]
        engine = Engine("benchmark", replicas, [task], settings, budget=budget, turns=ForwardTurns.of(settings))
        rates[str(batch_size)] = n_tokens / await _median_seconds(job, engine, task, requests)
    return rates


def requests_of(job: Job, batch_size: int) -> tuple[Task, list[Request]]:
    """Return the requests to encode all texts, the longest first, or to continue so many prompts."""
    if not job.n_new_tokens:
        texts = sorted(job.texts, key=len, reverse=True)
        return ENCODE_TEXT, [EncodeTextRequest(tokens=Tokens.of_ids(ids)) for ids in texts]
    n_new = job.n_new_tokens
    return GENERATE, [
        GenerateRequest(tokens=Tokens.of_ids(ids), max_new_tokens=n_new, min_new_tokens=n_new)
        for ids in job.texts[:batch_size]
    ]


async def _median_seconds(job: Job, engine: Engine, task: Task, requests: Sequence[Request]) -> float:
    await engine.started()
    await engine.submit(task, requests)
    rounds: list[float] = []
    for _ in range(job.n_rounds):
        started_at = time.perf_counter()
        await engine.submit(task, requests)
        rounds.append(time.perf_counter() - started_at)
    await engine.stop()
    return median(rounds)


if __name__ == "__main__":
    main()
