"""What peers are asked, asked of this project's models: `python -m benchmarks.own encode < job.json`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
import torch

from benchmarks.peers.common import Job, asked, generation_rates, rates
from models.allocator import keep_freed_memory
from models.checkpoint import load_model, read_checkpoint
from models.family import Model
from models.layers.text_model import TextModel, plain_tokens
from models.precision import Choice, Precision, lower
from models.tasks import GENERATE
from models.tasks import text as t


@click.command()
@click.argument("what", type=click.Choice(["encode", "generate"]))
def main(what: str) -> None:
    """Print tokens a second by size as JSON, and the least cosine of random codes to those in float32."""
    job = asked()
    keep_freed_memory()
    torch.set_num_threads(job.n_threads)
    model = load_model(read_checkpoint(Path(job.folder)))
    cosine = lower(model, Choice(cast("Precision", job.precision), "asked for")).cosine
    with torch.inference_mode():
        found = _encoding(job, cast("TextModel", model)) if what == "encode" else _generation(job, model)
    answer = {"package": f"manifold, torch {torch.__version__}", "rates": found, "cosine": cosine}
    sys.stdout.write(json.dumps(answer) + "\n")


def _encoding(job: Job, model: TextModel) -> dict[str, float]:
    return rates(job, lambda batch: model.vectors([plain_tokens(ids) for ids in batch]))


def _generation(job: Job, model: Model) -> dict[str, float]:
    def run(prompts: Sequence[list[int]]) -> object:
        requests = [
            t.GenerateRequest(tokens=plain_tokens(ids), max_new_tokens=job.n_new, min_new_tokens=job.n_new)
            for ids in prompts
        ]
        return GENERATE.run(model, requests)

    return generation_rates(job, run)


if __name__ == "__main__":
    main()
