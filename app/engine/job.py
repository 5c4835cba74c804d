"""The unit of work: the requests that one caller submits together."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.engine.trace import Trace
from models.tasks import Request, Task
from models.tasks.generation import Progress

OnProgress = Callable[[int, Progress], bool]
"""Called with the index of a request and the newest part of a sequence; returns whether that sequence ends here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The results of a job, one for each request in order, with its times and its batch size.

    Attributes:
        queue_ms: time from submission until the first request was dispatched to a worker.
        inference_ms: time from then until the last result was computed. Batches of a job that run in parallel, and
            pauses between its batches, count once.
        batch_size: most requests, of all callers, that shared a batch with this job.
    """

    results: Sequence[Any]
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass(eq=False, slots=True)
class Job:
    """The requests of one caller. They may be spread over several batches, which other jobs share.

    The queue sets `size`, `is_suspect`, after a batch with this job has killed a worker, and `started_at`. The worker
    sets `was_streamed`, once the caller has received progress. Only the event loop writes the other fields.

    Attributes:
        future: resolved exactly once, with an `Outcome` or an error.
        client: whom the work is done for: the name of an API key or an address.
        costs: the cost of each request, in elements or tokens.
        trace: the trace of the caller, if it has one.
        enqueued_at, started_at, finished_at: readings of `time.monotonic`, in seconds.
        on_progress: receives each step of a generation task.
        results: finished results by request index.
        progress: by request index, all progress of a generation task since it last began.
        was_announced: the observer has been notified that the job has started.
        is_abandoned: nobody waits for this job any more.
        abandoned_sequences: (request index, sequence) of texts that the caller has ended and workers stop generating.
        size: how much of the largest small job this one is; above 1, it is a large one.
        cost: the sum of `costs`.
    """

    task: Task
    requests: Sequence[Request]
    future: "asyncio.Future[Outcome]"
    enqueued_at: float
    client: str = ""
    costs: Sequence[int] = ()
    on_progress: OnProgress | None = None
    trace: Trace | None = None
    started_at: float = math.inf
    finished_at: float = 0.0
    batch_size: int = 0
    results: dict[int, Any] = field(default_factory=dict)
    progress: dict[int, list[Progress]] = field(default_factory=dict)
    was_announced: bool = False
    was_streamed: bool = False
    is_suspect: bool = False
    is_abandoned: bool = False
    abandoned_sequences: set[tuple[int, int]] = field(default_factory=set)
    size: float = 0.0
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        if not self.costs:
            self.costs = [request.cost for request in self.requests]
        self.cost = sum(self.costs)

    @property
    def is_large(self) -> bool:
        """Return whether the job is more than a worker computes in one batch."""
        return self.size > 1


@dataclass(frozen=True, slots=True)
class Slice:
    """The requests of a job from index `start` up to, but not including, `stop`."""

    job: Job
    start: int
    stop: int

    @property
    def requests(self) -> Sequence[Request]:
        """The requests in this slice."""
        return self.job.requests[self.start : self.stop]

    def __len__(self) -> int:
        return self.stop - self.start
