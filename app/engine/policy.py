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

    results: Sequence[Any]
    queue_ms: float
    inference_ms: float
    batch_size: int


Listener = Callable[[int, Progress], bool]
"""Given the number of a request and what is new of it: whether that text is to end here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """For tasks made by steps: rows that are free, and rows that run, the worker's own and those of the others."""

    n_rows: int
    n_running: int = 0
    n_elsewhere: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether none of the worker's own runs."""
        return self.n_running == 0


IDLE = Room(n_rows=0)
"""Of workers that make nothing by steps."""


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """The requests of one caller. They may be spread over several batches, which others share.

    `suspect` marks a job whose batch killed a worker; the engine's queue owns it. `abandoned` are the texts nobody
    waits for any more, each the number of its request and its own; the event loop adds to them, and the worker takes
    them out before its next step. The event loop owns the rest: `listen` hears of each step of a task made by steps,
    and says whether to end that text; `heard`, of the worker, is whether there was anything to hear.
    """

    task: Task
    requests: Sequence[Request]
    future: "asyncio.Future[Outcome]"
    enqueued_at: float
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
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        self.cost = sum(request.cost for request in self.requests)


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

    def __len__(self) -> int:
        """How many they are."""
        return self.stop - self.start

    def until(self, stop: int) -> "Slice":
        """Those before `stop`."""
        return Slice(self.job, self.start, stop)

    def since(self, start: int) -> "Slice":
        """Those from `start` on."""
        return Slice(self.job, start, self.stop)


def next_batch(waiting: Iterable[Slice], budget: int, room: Room = IDLE) -> list[Slice]:
    """The oldest job sets the task; it and younger jobs of that task fill the batch until `budget` elements.

    A request that alone exceeds the budget runs alone. So does a suspect job, one request at a time: if it kills the
    worker again, nobody else is harmed. Nothing is starved, for the oldest job is always part of the batch; unless its
    task is made by steps, and there is no room: then it waits for those that run, and others may go before it.
    """
    batch: list[Slice] = []
    cost = n_rows = 0
    for whole in waiting:
        job = whole.job
        if job.task.by_steps and not _has_room(whole, n_rows, room):
            continue
        if not batch and job.suspect:
            return [whole.until(whole.start + 1)]
        if job.suspect or (batch and job.task is not batch[0].job.task):
            continue
        if not job.task.by_steps and len(whole) == len(job.requests) and cost + job.cost <= budget:
            batch.append(whole)
            cost += job.cost
            continue
        stop = whole.start
        while stop < whole.stop:
            request = job.requests[stop]
            is_first = not batch and stop == whole.start
            more_rows = _n_rows(job.task, request)
            if not is_first and (cost + request.cost > budget or n_rows + more_rows > room.n_rows):
                break
            cost, n_rows, stop = cost + request.cost, n_rows + more_rows, stop + 1
        if stop > whole.start:
            batch.append(whole.until(stop))
        if stop < whole.stop:
            break
    return batch


def rows_of(batch: Iterable[Slice]) -> int:
    """How many rows its requests have, where they are made by steps."""
    return sum(_n_rows(part.job.task, request) for part in batch for request in part.requests)


def _n_rows(task: Task, request: Request) -> int:
    return cast("GenerateRequest", request).n_rows if task.by_steps else 0


def _has_room(whole: Slice, n_rows: int, room: Room) -> bool:
    """Whether the first of these requests may begin to be made by steps."""
    if whole.job.suspect:
        return room.is_idle
    is_alone = room.is_idle and room.n_elsewhere == 0 and n_rows == 0
    return is_alone or n_rows + _n_rows(whole.job.task, whole.job.requests[whole.start]) <= room.n_rows
