"""What peers are asked, asked of this project's models: `python -m benchmarks.own < job.json`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import click
import torch

from benchmarks.peers.common import Job, asked, generation_rates, rates
from models.allocator import keep_freed_memory
from models.checkpoint import load_model, read_checkpoint
from models.layers.text_model import TextModel, plain_tokens
from models.precision import Choice, Precision, lower
from models.tasks import GENERATE
from models.tasks import text as t


@click.command()
def main() -> None:
    """Print tokens a second by size as JSON, and the least cosine of random codes to those in float32."""
    job = asked()
    with torch.inference_mode():
        run, cosine = loaded(job)
        found = (generation_rates if job.n_new else rates)(job, run)
    answer = {"package": f"manifold, torch {torch.__version__}", "rates": found, "cosine": cosine}
    sys.stdout.write(json.dumps(answer) + "\n")


def loaded(job: Job) -> tuple[Callable[[Sequence[list[int]]], object], float]:
    """What is timed, the vectors of a batch or the continuations of prompts; and the least cosine, see `lower`."""
    keep_freed_memory()
    torch.set_num_threads(job.n_threads)
    model = load_model(read_checkpoint(Path(job.folder)))
    cosine = lower(model, Choice(cast("Precision", job.precision), "asked for")).cosine

    def encode(batch: Sequence[list[int]]) -> object:
        return cast("TextModel", model).vectors([plain_tokens(ids) for ids in batch])

    def generate(prompts: Sequence[list[int]]) -> object:
        requests = [
            t.GenerateRequest(tokens=plain_tokens(ids), max_new_tokens=job.n_new, min_new_tokens=job.n_new)
            for ids in prompts
        ]
        return GENERATE.run(model, requests)

    return generate if job.n_new else encode, cosine


if __name__ == "__main__":
    main()
