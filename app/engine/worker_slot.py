"""What the queue knows of the workers that take from it, and of the work that need not be waited for."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from app.engine.fairness import ClientFlow, FairOrder
from app.engine.job import Job, Slice
from app.engine.policy import DispatchReason

MAX_OVERTAKING = 4.0
"""Maximum size of a job that may overtake, so that jobs which overtake do not wait for long for one another."""
MIN_OVERTAKEN = 2.0
"""Factor by which a job must be larger than the one that overtakes it."""


@dataclass(eq=False, slots=True)
class WorkerSlot:
    """The queue's record of one worker: the requests that it has taken and not yet delivered.

    Attributes:
        wake_up: notified to wake the worker; it belongs to the queue's lock.
        in_flight: the batch that is being computed.
        running: slices that are being generated, in `n_rows` rows.
        active_at: when the worker last took or delivered a batch (`time.monotonic`).
        reason: why the batch in flight was dispatched.
        cpu_s: CPU time that the worker's thread had used when it took the batch in flight (`time.thread_time`).
        resumed_at: when the worker last took a batch or gave way to small jobs (`time.monotonic`).
        is_retired: the worker is given no more work.
        is_for_small_jobs: the worker takes small jobs alone, and those only while large ones keep the others busy.
    """

    wake_up: threading.Condition
    is_for_small_jobs: bool = False
    in_flight: list[Slice] = field(default_factory=list)
    running: list[Slice] = field(default_factory=list)
    n_rows: int = 0
    active_at: float = 0.0
    reason: DispatchReason = DispatchReason.WORKER_IDLE
    cpu_s: float = 0.0
    resumed_at: float = 0.0
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class WorkInProgress:
    """What one worker is doing: the size of its largest job, and the large clients that it works for."""

    largest: float
    large_clients: frozenset[str]

    def gives_way_to(self, other: "WorkInProgress") -> bool:
        """Return whether this is to pause until another worker has done that: small jobs, or those of small clients."""
        return other.largest <= 1 and (self.largest > 1 or not other.large_clients)

    def may_be_overtaken(self, job: Job, client: ClientFlow) -> bool:
        """Return whether a job of a client need not wait for this.

        A job may overtake one that is large, and more than `MIN_OVERTAKEN` times as large as itself. A small client may
        overtake all jobs of a large one.
        """
        if self.largest > max(1.0, MIN_OVERTAKEN * job.size):
            return True
        return not client.is_large and not self.large_clients <= {client.name}


def work_in_progress(slot: WorkerSlot, order: FairOrder) -> WorkInProgress:
    """Return what a worker is doing for jobs that have not ended."""
    jobs = {part.job for part in chain(slot.in_flight, slot.running) if part.job in order}
    return WorkInProgress(
        max((job.size for job in jobs), default=0.0),
        frozenset(job.client for job in jobs if order.client_of(job).is_large),
    )


def overtaking_jobs(
    order: FairOrder, busy: Sequence[WorkInProgress], generating: Sequence[WorkInProgress]
) -> Iterator[Job]:
    """Yield the waiting jobs that may overtake all work that they would wait for, in their order.

    Args:
        order: the jobs.
        busy: the work that a batch would wait for, one for each worker; nothing overtakes if there is none.
        generating: the work that a generation would wait for.
    """
    has_large_job = any(work.largest > 1 for work in (*busy, *generating))
    for client in order.clients():
        for job in client.waiting() if has_large_job or not client.is_large else ():
            overtaken, max_size = (generating, 1.0) if job.task.by_steps else (busy, MAX_OVERTAKING)
            is_candidate = overtaken and job.size <= max_size and not job.is_suspect
            if is_candidate and all(work.may_be_overtaken(job, client) for work in overtaken):
                yield job
