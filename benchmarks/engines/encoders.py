"""Compare the speed of encoders of one shape in different families."""

import random
from dataclasses import fields
from typing import cast

import click
import torch

from app.process.allocator import keep_freed_memory
from benchmarks.engines.vectors import relative_speeds
from benchmarks.lib.checkpoints import SHAPES
from benchmarks.lib.report import Report, json_option, machine, print_report, table
from benchmarks.lib.texts import N_SPECIAL_TOKENS, VOCAB_SIZE, text_lengths
from models.catalogue import family
from models.precision import PrecisionChoice, convert
from models.tasks.text import Tokens
from models.text.encoder_config import EncoderConfig
from models.text.text_model import TextModel

FAMILIES = ("bert", "distilbert", "mpnet", "electra", "roberta")
ENCODER_SHAPES = ("minilm", "bert-base")
N_TEXTS = 256


@click.command()
@click.option("--shape", type=click.Choice(ENCODER_SHAPES), default=ENCODER_SHAPES[0], show_default=True)
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Rounds in which all take turns.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of torch.")
@json_option
def encoders(shape: str, rounds: int, threads: int, *, as_json: bool) -> None:
    """Compare the speed of encoders of one shape in different families.

    The models have random weights, on which speed does not depend, and no heads.

    \b
    Keys of the JSON output:
      shape, rounds, threads  as given
      speeds                  by family, texts a second over those of BERT; the median of the rounds
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    draw = random.Random(0)  # noqa: S311 not a secret
    tokens = [
        Tokens.of_ids([draw.randrange(N_SPECIAL_TOKENS, VOCAB_SIZE) for _ in range(length)])
        for length in text_lengths(N_TEXTS)
    ]
    speeds = relative_speeds({name: new_encoder(name, shape) for name in FAMILIES}, tokens, rounds)
    report = Report(
        name="encoders",
        title=f"Families of encoders: {shape}",
        command=f"manifold bench encoders --shape {shape} --rounds {rounds} --threads {threads}",
        hardware=f"{machine()} {torch.get_num_threads()} threads, torch {torch.__version__}.",
        parts=[table(["family", "speed"], [[name, f"{speed:.3f}"] for name, speed in speeds.items()])],
    )
    output = {"shape": shape, "rounds": rounds, "threads": threads, "speeds": speeds}
    print_report(report, output, as_json=as_json)


def new_encoder(name: str, shape: str) -> TextModel:
    """Return an encoder of a family with random weights, in float32, packed as it is to be served."""
    spec, values = family(f"transformers/{name}"), SHAPES[shape].config.to_dict()
    values |= {"heads": (), "embedding_width": values["width"]}
    if not cast("type[EncoderConfig]", spec.config).has_token_types:
        del values["n_token_types"]
    taken = {field.name for field in fields(spec.config)}
    torch.manual_seed(0)
    model = spec.new_model(spec.config(**{key: value for key, value in values.items() if key in taken})).eval()
    convert(model, PrecisionChoice("float32", "to be measured"))
    return cast("TextModel", model)
