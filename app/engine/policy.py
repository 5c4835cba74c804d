"""Which waiting requests form the next batch. Pure: no clock, no locks, no torch."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.tasks import Request, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a job: one result a request, and what it cost."""

    results: list[Any]
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """The requests of one caller. They may be spread over several batches, which others share.

    `cursor` is the first request not yet dispatched; `suspect` marks a job whose batch killed a worker.
    The engine's queue owns `cursor` and `suspect`; the event loop owns the rest.
    """

    task: Task
    requests: Sequence[Request]
    future: "asyncio.Future[Outcome]"
    enqueued_at: float
    cursor: int = 0
    suspect: bool = False
    results: dict[int, Any] = field(default_factory=dict)
    queue_ms: float | None = None
    inference_ms: float = 0.0
    batch_size: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """Requests `start` to `stop` of a job."""

    job: Job
    start: int
    stop: int

    @property
    def requests(self) -> Sequence[Request]:
        """The requests themselves."""
        return self.job.requests[self.start : self.stop]


def next_batch(jobs: Iterable[Job], budget: int) -> list[Slice]:
    """The oldest job sets the task; it and younger jobs of that task fill the batch until `budget` elements.

    A request that alone exceeds the budget runs alone. So does a suspect job, one request at a time: if it kills the
    worker again, nobody else is harmed. Nothing is starved, for the oldest job is always part of the batch.
    """
    batch: list[Slice] = []
    cost = 0
    for job in jobs:
        if not batch and job.suspect:
            return [Slice(job, job.cursor, job.cursor + 1)]
        if job.suspect or (batch and job.task is not batch[0].job.task):
            continue
        stop = job.cursor
        while stop < len(job.requests) and (
            cost + job.requests[stop].cost <= budget or (not batch and stop == job.cursor)
        ):
            cost += job.requests[stop].cost
            stop += 1
        if stop > job.cursor:
            batch.append(Slice(job, job.cursor, stop))
        if stop < len(job.requests):
            break
    return batch
