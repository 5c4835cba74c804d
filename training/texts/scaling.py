"""Compare small pretraining runs, to choose settings: `python -m training.texts.scaling DATA [TOKENS]`.

Each run trains bert-mini-en from scratch with one setting changed, on a subset of the articles, and prints the mean
loss of the last eighth of its steps and the tokens per second. The table in docs/performance.md is its output.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import click

from models.transformers.bert.config import BertConfig
from training.cli import WEIGHTS
from training.data.files import DataFolder
from training.data.wikipedia import wikipedia
from training.recipe import Resources
from training.recipes.bert_mini_en import VOCABULARY, BertMiniEn
from training.texts.pretraining import CausalEncoderPretraining, MaskedPretraining, Pretraining, TextSource
from training.trainer import Run, train

N_ARTICLES, N_TOKENS = 8000, 1_000_000


def some_articles(data: DataFolder) -> list[str]:
    """Return the first articles of the training split."""
    return wikipedia(data).train[:N_ARTICLES]


def runs(n_tokens: int) -> Iterator[tuple[str, BertConfig, Pretraining[Any]]]:
    """Yield the name, the configuration and the stage of each run."""
    common: dict[str, Any] = {
        "vocabulary": VOCABULARY,
        "sources": (TextSource("some articles", some_articles),),
        "n_tokens": n_tokens,
    }
    shape = BertMiniEn.config
    for rate_factor in (0.5, 1.0, 2.0, 5.0):
        yield (
            f"reading on, {rate_factor:g} times the rate",
            shape,
            CausalEncoderPretraining(**common, rate_factor=rate_factor),
        )
    for masked_share in (0.15, 0.3):
        yield f"masks, {masked_share:.0%}", shape, MaskedPretraining(**common, masked_share=masked_share)
    yield "masks, 30%, batches of 8 rows", shape, MaskedPretraining(**common, masked_share=0.3, batch_size=8)
    for width, n_layers, n_heads in ((128, 8, 4), (192, 5, 6), (256, 4, 8)):
        other = replace(shape, width=width, n_layers=n_layers, n_heads=n_heads, inner_width=4 * width)
        yield f"reading on, {n_layers} layers of {width}", other, CausalEncoderPretraining(**common)


def main(data: Path, n_tokens: int) -> None:
    """Train each variant and print a row of a Markdown table for it."""
    resources = Resources(DataFolder(data, download=False), WEIGHTS)
    for name, shape, stage in runs(n_tokens):
        recipe: BertMiniEn = type("Variant", (BertMiniEn,), {"config": shape, "stages": (stage,)})()
        with tempfile.TemporaryDirectory() as folder:
            run = train(recipe, Run(resources=resources, folder=Path(folder), device="cpu", quiet=True))
        (history,) = run.histories.values()
        last = mean(history.losses[-max(1, len(history.losses) // 8) :])
        n_parameters = sum(parameter.numel() for parameter in run.model.parameters())
        tokens_per_second = n_tokens / history.seconds
        click.echo(f"| {name} | {n_parameters / 1e6:.1f} M | {last:.3f} | {tokens_per_second:,.0f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else N_TOKENS)
