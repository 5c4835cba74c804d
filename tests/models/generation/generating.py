"""What tests of generation have in common: requests that come one after the other, and the ids of what is made."""

from collections.abc import Sequence

from models.generation.generator import RunningBatch, collected
from models.tasks.text import GenerateRequest, GenerateResult, Progress


def ids(results: Sequence[GenerateResult]) -> list[list[list[int]]]:
    """Of each text of each request."""
    return [[[token.id for token in one.tokens] for one in result.sequences] for result in results]


def joined(
    running: RunningBatch[int], requests: Sequence[GenerateRequest], n_newcomers: int, n_steps: int = 1
) -> list[GenerateResult]:
    """So many requests join, so many steps are made, until all have ended."""
    told: dict[int, list[Progress]] = {number: [] for number in range(len(requests))}
    waiting = [*enumerate(requests)]
    while waiting or running.n_rows:
        newcomers, waiting = waiting[:n_newcomers], waiting[n_newcomers:]
        running.add(newcomers)
        for _ in range(n_steps):
            for number, progress in running.step():
                told[number].append(progress)
    return [collected(progress) for progress in told.values()]
