"""Which waiting requests form the next batch. Pure: no clock, no locks, no torch."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from models.tasks import Request, Task
from models.tasks.text import GenerateRequest, Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a job: one result a request, and what it cost."""

    results: list[Any]
    queue_ms: float
    inference_ms: float
    batch_size: int


Listener = Callable[[int, Progress], bool]
"""Given the number of a request and what is new of it: whether that text is to end here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """For tasks made by steps: rows that are free, and whether none runs."""

    n_rows: int
    is_idle: bool


IDLE = Room(n_rows=0, is_idle=True)
"""Of workers that make nothing by steps."""


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """The requests of one caller. They may be spread over several batches, which others share.

    `cursor` is the first request not yet dispatched; `suspect` marks a job whose batch killed a worker. The engine's
    queue owns both. `abandoned` are the texts nobody waits for any more, each the number of its request and its own;
    the event loop adds to them, and the worker takes them out before its next step. The event loop owns the rest:
    `listen` hears of each step of a task made by steps, and says whether to end that text; `heard`, of the worker, is
    whether there was anything to hear.
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
    listen: Listener | None = None
    heard: bool = False
    told: dict[int, list[Progress]] = field(default_factory=dict)
    abandoned: set[tuple[int, int]] = field(default_factory=set)
    is_abandoned: bool = False


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


def next_batch(jobs: Iterable[Job], budget: int, room: Room = IDLE) -> list[Slice]:
    """The oldest job sets the task; it and younger jobs of that task fill the batch until `budget` elements.

    A request that alone exceeds the budget runs alone. So does a suspect job, one request at a time: if it kills the
    worker again, nobody else is harmed. Nothing is starved, for the oldest job is always part of the batch; unless its
    task is made by steps, and there is no room: then it waits for those that run, and others may go before it.
    """
    batch: list[Slice] = []
    cost = n_rows = 0
    for job in jobs:
        if job.task.by_steps and not _has_room(job, n_rows, room):
            continue
        if not batch and job.suspect:
            return [Slice(job, job.cursor, job.cursor + 1)]
        if job.suspect or (batch and job.task is not batch[0].job.task):
            continue
        stop = job.cursor
        while stop < len(job.requests):
            request = job.requests[stop]
            is_first = not batch and stop == job.cursor
            more_rows = cast("GenerateRequest", request).n_rows if job.task.by_steps else 0
            if not is_first and (cost + request.cost > budget or n_rows + more_rows > room.n_rows):
                break
            cost, n_rows, stop = cost + request.cost, n_rows + more_rows, stop + 1
        if stop > job.cursor:
            batch.append(Slice(job, job.cursor, stop))
        if stop < len(job.requests):
            break
    return batch


def _has_room(job: Job, n_rows: int, room: Room) -> bool:
    """Whether the job's next request may begin to be made by steps."""
    if job.suspect:
        return room.is_idle
    return n_rows + cast("GenerateRequest", job.requests[job.cursor]).n_rows <= room.n_rows or (
        room.is_idle and n_rows == 0
    )
