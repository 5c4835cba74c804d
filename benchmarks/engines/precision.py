"""Measure what a sentence encoder loses in int8, and how much faster it is.

The texts are the test pairs of the STS benchmark. Accuracy is Spearman's rank correlation of the cosines of their
vectors with the scores that people gave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import click
import torch
from torch import Tensor
from torch.nn import functional

from app.process.allocator import keep_freed_memory
from benchmarks.engines.vectors import relative_speeds, vectors_of
from benchmarks.lib.report import Report, json_option, machine, print_report, table
from models.checkpoint import load_model, read_checkpoint
from models.codecs.text import TextCodec
from models.precision import Precision, PrecisionChoice, convert
from models.text.text_model import TextModel
from training.data.files import DataFolder
from training.data.stsb import ScoredPair, stsb
from training.texts.scores import spearman

PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
N_TIMED = 1024
"""Number of texts whose time is measured in each round."""


@dataclass(frozen=True, kw_only=True)
class PrecisionResult:
    """What was measured of a precision.

    Attributes:
        spearman: rank correlation of the cosines with the scores of people.
        mean_cosine: mean over the texts of the cosine between a vector and that in float32.
        least_cosine: the least of these cosines.
        speed: texts a second over that in float32, the median of the rounds.
    """

    spearman: float
    mean_cosine: float
    least_cosine: float
    speed: float


def measure(folder: Path, pairs: Sequence[ScoredPair], n_rounds: int) -> Mapping[Precision, PrecisionResult]:
    """Measure a sentence encoder in float32 and in int8.

    Raises:
        ModelsError: the folder holds no checkpoint, or a damaged one.
        ClickException: it is no encoder of texts.
    """
    models = {precision: _load(folder, precision) for precision in PRECISIONS}
    codec = cast("TextCodec", read_checkpoint(folder, folder.name).codec)
    tokens = [codec.encode_truncated(text) for pair in pairs for text in (pair.first, pair.second)]
    truth = torch.tensor([pair.score for pair in pairs])
    found = {precision: vectors_of(model, tokens) for precision, model in models.items()}
    speeds = relative_speeds(models, tokens[:N_TIMED], n_rounds)
    return {precision: _compare(found["float32"], found[precision], truth, speeds[precision]) for precision in models}


def _load(folder: Path, precision: Precision) -> TextModel:
    model = load_model(read_checkpoint(folder, folder.name))
    if not isinstance(model, TextModel):
        raise click.ClickException(f"{folder} is no encoder of texts")
    convert(model, PrecisionChoice(precision, "to be measured"))
    return model


def _compare(exact: Tensor, found: Tensor, truth: Tensor, speed: float) -> PrecisionResult:
    """Compare vectors `[2n, D]` with those in float32, and the cosines of pairs with the truth `[n]`."""
    cosines = functional.cosine_similarity(exact, found)
    return PrecisionResult(
        spearman=spearman(functional.cosine_similarity(found[::2], found[1::2]), truth),
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        speed=speed,
    )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="Rounds of the measured speed.")
@json_option
def precision(folder: Path, data: Path, rounds: int, *, as_json: bool) -> None:
    """Measure what a sentence encoder loses in int8.

    FOLDER holds the checkpoint, and DATA the folder `stsb-en` with the STS benchmark.

    \b
    Keys of the JSON output, by precision:
      spearman      rank correlation of the cosines of pairs with the scores of people
      mean_cosine   mean cosine between a vector and that in float32
      least_cosine  the least of these cosines
      speed         texts a second over that in float32
    """
    keep_freed_memory()
    results = measure(folder, stsb(DataFolder(data, download=False)).test, rounds)
    print_report(_report(folder, results), {name: asdict(result) for name, result in results.items()}, as_json=as_json)


def _report(folder: Path, results: Mapping[Precision, PrecisionResult]) -> Report:
    rows = [
        [name, f"{one.spearman:.4f}", f"{one.mean_cosine:.5f}", f"{one.least_cosine:.4f}", f"{one.speed:.2f}"]
        for name, one in results.items()
    ]
    return Report(
        name="precision",
        title=f"Precision of {folder.name}",
        command=f"manifold bench precision {folder} DATA",
        hardware=f"{machine()} {torch.get_num_threads()} threads, torch {torch.__version__}.",
        parts=[table(["", "Spearman, STS-B test", "mean cosine", "least cosine", "speed"], rows)],
    )
