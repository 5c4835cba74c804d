"""What the queue knows of the workers that take from it."""

import threading
from dataclasses import dataclass, field

from app.engine.fairness import ClientFlow
from app.engine.job import Slice
from app.engine.policy import DispatchReason


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


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeWork:
    """What a worker does for a large job, and the large clients for whom it works."""

    has_large_job: bool
    large_clients: set[str]

    def delays(self, client: ClientFlow) -> bool:
        """Return whether a small job of this client need not wait for the work."""
        return self.has_large_job or (not client.is_large and not self.large_clients <= {client.name})
