"""The vectors of many texts, and how fast models compute them beside one another."""

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.lib.report import progress
from models.tasks.text import Tokens
from models.text.embedding import vectors
from models.text.text_model import TextModel

BATCH_SIZE = 32
NameT = TypeVar("NameT", bound=str)


def vectors_of(model: TextModel, tokens: Sequence[Tokens]) -> Tensor:
    """Return the vectors of texts, `[n, D]`."""
    with torch.inference_mode():
        starts = range(0, len(tokens), BATCH_SIZE)
        return torch.cat([vectors(model, tokens[start : start + BATCH_SIZE]) for start in starts])


def relative_speeds(models: Mapping[NameT, TextModel], tokens: Sequence[Tokens], n_rounds: int) -> dict[NameT, float]:
    """Return the speed of each model over that of the first: the median over rounds.

    In a round, all take turns at each batch, since the speed of the machine may change within seconds.
    """
    first, rounds = next(iter(models)), []
    for model in models.values():
        vectors_of(model, tokens[:BATCH_SIZE])
    with progress("rounds") as bar:
        for number in bar.track(range(n_rounds)):
            seconds = dict.fromkeys(models, 0.0)
            for start in range(0, len(tokens), BATCH_SIZE):
                for name in list(models)[:: -1 if number % 2 else 1]:
                    started_at = time.perf_counter()
                    vectors_of(models[name], tokens[start : start + BATCH_SIZE])
                    seconds[name] += time.perf_counter() - started_at
            rounds.append(seconds)
    return {name: statistics.median(seconds[first] / seconds[name] for seconds in rounds) for name in models}
