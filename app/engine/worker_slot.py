"""What the queue knows of the workers that take from it, and of the work that need not be waited for."""

import threading
from dataclasses import dataclass, field

from app.engine.fairness import ClientFlow
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
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class WorkInProgress:
    """What one worker is doing: the size of its largest job, and the large clients that it works for."""

    largest: float
    large_clients: frozenset[str]

    def may_be_overtaken(self, job: Job, client: ClientFlow) -> bool:
        """Return whether a job of a client need not wait for this.

        A job may overtake one that is large, and more than `MIN_OVERTAKEN` times as large as itself. A small client may
        overtake all jobs of a large one.
        """
        if self.largest > max(1.0, MIN_OVERTAKEN * job.size):
            return True
        return not client.is_large and not self.large_clients <= {client.name}
