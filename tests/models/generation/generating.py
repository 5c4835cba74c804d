"""Helpers of the tests of generation: requests that join one after the other, and the ids of generated texts."""

from collections.abc import Sequence

from models.generation.running_batch import RunningBatch
from models.generation.tasks import collect_result
from models.tasks.generation import GenerateRequest, GenerateResult, Progress


def ids(results: Sequence[GenerateResult]) -> list[list[list[int]]]:
    """Return the ids of each text of each request."""
    return [[[token.id for token in sequence.tokens] for sequence in result.sequences] for result in results]


def joined(
    batch: RunningBatch[int], requests: Sequence[GenerateRequest], n_newcomers: int, n_steps: int = 1
) -> list[GenerateResult]:
    """Let `n_newcomers` requests join before every `n_steps` steps, until all have ended."""
    events: dict[int, list[Progress]] = {number: [] for number in range(len(requests))}
    waiting = [*enumerate(requests)]
    while waiting or batch.n_rows:
        newcomers, waiting = waiting[:n_newcomers], waiting[n_newcomers:]
        batch.add(newcomers)
        for _ in range(n_steps):
            for number, progress in batch.step():
                events[number].append(progress)
    return [collect_result(progress) for progress in events.values()]
