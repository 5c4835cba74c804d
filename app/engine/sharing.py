"""How the workers of one model are shared: small jobs do not wait for what is done for large ones.

All methods of `SharedWorkers` whose names begin with an underscore are called while its lock is held.
"""

import math
import threading
import time
from collections.abc import Iterator

from app.engine.fairness import FairOrder
from app.engine.job import Job
from app.engine.worker_slot import WorkerSlot, overtaking_jobs, work_in_progress

SHORT_BATCH_S = 0.005
"""CPU time in seconds below which a batch is short. While batches are short, one worker serves as many as several,
which would spend most of their time waiting for the interpreter lock and make the event loop wait for it too."""
INACTIVE_AFTER_S = 0.05
"""Time in seconds after which a worker that took or delivered no batch is no longer relied on to serve what waits."""
SMALL_SHARE_OF_ROWS = 8
"""A small job generates at most one of so many rows that may be generated at once."""
SHARED_FOR_S = 0.25
"""Time in seconds after a small job for which large jobs leave room for the next one."""
SHARED_PARTS = 4
"""Factor by which the batches of large jobs are smaller then."""
MAX_PAUSE_S = 0.1
"""Longest time in seconds for which a worker pauses between two parts of large work while small jobs are computed."""
YIELD_S = 5e-5
"""Time in seconds for which a worker pauses in any case between two parts of large work while small jobs come often.
Another thread then gets the interpreter lock at once, and not only after the switch interval."""


class SharedWorkers:
    """The workers of one model, one of which may be for small jobs alone, and what they are doing.

    While large jobs keep the other workers busy, the worker for small jobs lets these overtake. And while small jobs
    come often, large ones leave them room: they pause between the parts of their work, their batches are smaller, and
    one worker is kept free of them if there are several.

    Attributes:
        max_small_rows: most rows of a small job, and of the worker for small jobs.
        steps_on_one_worker: whether one worker generates all sequences, with the threads of all.
    """

    def __init__(self, max_rows: int, *, steps_on_one_worker: bool, short_batches_on_one_worker: bool) -> None:
        self._max_rows = max_rows
        self.max_small_rows = max(1, max_rows // SMALL_SHARE_OF_ROWS)
        self.steps_on_one_worker = steps_on_one_worker
        self._short_batches_on_one_worker = short_batches_on_one_worker
        self._order = FairOrder()
        self._slots: dict[WorkerSlot, None] = {}
        self._idle: list[WorkerSlot] = []
        self._idle_small: list[WorkerSlot] = []
        self._small_slot: WorkerSlot | None = None
        self._batch_cpu_s = SHORT_BATCH_S
        self._closed = False
        self._lock = threading.Lock()
        self._small_done = threading.Condition(self._lock)
        self._small_put_at = -math.inf

    @property
    def is_shared(self) -> bool:
        """Return whether small jobs have come lately that much larger work must not hold up."""
        return self._order.is_mixed and time.monotonic() < self._small_put_at + SHARED_FOR_S

    def give_way(self, slot: WorkerSlot) -> None:
        """Let small jobs and the event loop go first. A worker calls this between parts of its work, and between steps.

        While another worker computes small jobs, one with large work pauses, for no longer than it has worked since its
        last pause, so that it has at least half of the time.
        """
        if slot.is_for_small_jobs or not self.is_shared:
            return
        with self._lock:
            own = work_in_progress(slot, self._order)
            if own.largest <= 1 and not own.large_clients:
                return
            busy = [other for other in (*self._slots, self._small_slot) if other and (other.in_flight or other.n_rows)]
            pause_s = YIELD_S
            if any(own.gives_way_to(work_in_progress(other, self._order)) for other in busy if other is not slot):
                pause_s = max(YIELD_S, min(time.monotonic() - slot.resumed_at, MAX_PAUSE_S))
            self._small_done.wait(pause_s)
            slot.resumed_at = time.monotonic()

    def _budget_for(self, slot: WorkerSlot, budget: int) -> int:
        """Return the budget of a batch, which is smaller for parts of large jobs while small jobs come often."""
        if slot.is_for_small_jobs or not self.is_shared:
            return budget
        first = next(self._order.waiting(), None)
        return max(1, budget // SHARED_PARTS) if first is not None and first.is_large else budget

    def _is_kept_free(self, slot: WorkerSlot) -> bool:
        """Return whether large jobs leave this worker to small ones, because these come often and all others are busy.

        Workers of more threads than there are cores would hold each other up.
        """
        if len(self._slots) < 2 or self._closed or not self.is_shared:
            return False
        others = [work_in_progress(other, self._order) for other in self._slots if other is not slot]
        return all(work.largest > 1 for work in others)

    def _has_room_for_small_rows(self) -> bool:
        """Return whether the worker for small jobs will generate for those that may overtake."""
        small = self._small_slot
        return small is not None and not self._closed and small.n_rows < self.max_small_rows

    def _overtaking(self) -> Iterator[Job]:
        """Yield the jobs that may overtake what all workers do that they would wait for.

        A worker that sleeps because batches are short is not waited for.
        """
        if not self._order.is_mixed:
            return
        awake = {slot: work_in_progress(slot, self._order) for slot in self._slots if slot not in self._idle}
        busy = [*awake.values()] if all(map(self._is_spare, self._idle)) else []
        generating = [work for slot, work in awake.items() if slot.n_rows] if self.steps_on_one_worker else busy
        yield from overtaking_jobs(self._order, busy, generating)

    def _is_spare(self, slot: WorkerSlot) -> bool:
        """Return whether this worker may sleep: batches are short, and another worker is awake and active."""
        if not self._short_batches_on_one_worker or self._batch_cpu_s >= SHORT_BATCH_S:
            return False
        active_since = time.monotonic() - INACTIVE_AFTER_S
        awake = (other for other in self._slots if other is not slot and other not in self._idle)
        return any(other.active_at > active_since and not other.n_rows for other in awake)
