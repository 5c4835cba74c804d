"""Generates the texts of a batch of requests to their end."""

from collections.abc import Sequence
from typing import Any

from models.generation.generator import Generator
from models.generation.running_batch import RunningBatch
from models.ops.cooperation import begin_part
from models.tasks.generation import GeneratedSequence, GeneratedToken, GenerateRequest, GenerateResult, Progress


def generate(model: Generator[Any], requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
    """Generate all texts of all requests.

    An encoder-decoder generates translations, or whatever else it has learnt to make of a text.

    Raises:
        InvalidItems: a prompt and its `max_new_tokens` exceed the context, or a parameter is out of range.
    """
    batch: RunningBatch[int] = RunningBatch(model)
    batch.add(list(enumerate(requests)))
    events: list[list[Progress]] = [[] for _ in requests]
    while batch.n_rows:
        begin_part()
        for place, progress in batch.step():
            events[place].append(progress)
    return [collect_result(each) for each in events]


def collect_result(events: Sequence[Progress]) -> GenerateResult:
    """Return the texts of one request, given all of its progress in order."""
    sequences: dict[int, GeneratedSequence] = {}
    tokens: dict[int, list[GeneratedToken]] = {}
    for progress in events:
        so_far = tokens.setdefault(progress.sequence, [])
        if progress.token:
            so_far.append(progress.token)
        if progress.finish_reason:
            sequences[progress.sequence] = GeneratedSequence(
                tokens=tuple(so_far), finish_reason=progress.finish_reason, score=progress.score
            )
    return GenerateResult(sequences=tuple(sequences[index] for index in sorted(sequences)))
