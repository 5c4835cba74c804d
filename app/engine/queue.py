"""The bounded queue between the event loop and the workers of one model."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from app.engine.job import Job, Slice
from app.engine.policy import NO_STEPS, DispatchReason, StepCapacity, dispatch_reason, n_rows_of, next_batch

SHORT_BATCH_S = 0.005
"""CPU time in seconds below which a batch is short. While batches are short, one worker serves as many as several,
which would spend most of their time waiting for the interpreter lock and make the event loop wait for it too."""
INACTIVE_AFTER_S = 0.05
"""Time in seconds after which a worker that took or delivered no batch is no longer relied on to serve what waits."""
_SMOOTHING = 0.1
"""Weight of the newest batch in the smoothed CPU time of a batch."""


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
    """

    wake_up: threading.Condition
    in_flight: list[Slice] = field(default_factory=list)
    running: list[Slice] = field(default_factory=list)
    n_rows: int = 0
    active_at: float = 0.0
    reason: DispatchReason = DispatchReason.WORKER_IDLE
    cpu_s: float = 0.0
    is_retired: bool = False


class JobQueue:
    """Jobs in order of arrival. Thread-safe; only `take` blocks. Whoever puts a job calls `wake_worker` afterwards."""

    def __init__(
        self,
        max_items: int,
        max_rows: int = 1,
        *,
        steps_on_one_worker: bool = False,
        short_batches_on_one_worker: bool = True,
    ) -> None:
        """Make an empty queue.

        Args:
            max_items: most requests that may wait.
            max_rows: most rows that all workers together may generate at once.
            steps_on_one_worker: one worker generates all sequences; otherwise they are spread over the free workers.
            short_batches_on_one_worker: while batches are short, one worker takes them all and the others sleep. Pays
                for models whose forward passes are many small operations of torch on a CPU.
        """
        self._max_items, self._max_rows = max_items, max_rows
        self._steps_on_one_worker = steps_on_one_worker
        self._short_batches_on_one_worker = short_batches_on_one_worker
        self._waiting: dict[Job, list[Slice]] = {}  # a dict, because it keeps the order and removes in O(1)
        self._n_items = 0
        self._slots: dict[WorkerSlot, None] = {}
        self._idle: list[WorkerSlot] = []
        self._batch_cpu_s = SHORT_BATCH_S
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Count the requests that wait; those in flight do not."""
        return self._n_items

    def set_limit(self, max_items: int) -> None:
        """Set the most requests that may wait. Those that wait already are kept."""
        with self._lock:
            self._max_items = max_items

    def put(self, job: Job) -> bool:
        """Append a job. Return False, and change nothing, if that would exceed the limit."""
        with self._lock:
            if self._n_items + len(job.requests) > self._max_items:
                return False
            self._waiting[job] = [Slice(job, 0, len(job.requests))]
            self._n_items += len(job.requests)
            return True

    def remove(self, job: Job) -> None:
        """Drop the requests of a job that are not yet dispatched, if there are any."""
        with self._lock:
            self._n_items -= sum(map(len, self._waiting.pop(job, ())))

    def add_worker(self) -> WorkerSlot:
        """Register one more worker."""
        slot = WorkerSlot(threading.Condition(self._lock))
        with self._lock:
            self._slots[slot] = None
        return slot

    def wake_worker(self) -> bool:
        """Wake an idle worker if jobs wait that no worker will soon take by itself. Return whether any job waits."""
        with self._lock:
            if self._waiting:
                self._wake_if_needed()
            return bool(self._waiting)

    def take(
        self, slot: WorkerSlot, budget: int, capacity: StepCapacity = NO_STEPS, timeout_s: float | None = None
    ) -> list[Slice] | None:
        """Take the next batch, which is in flight until `finish_batch` or `start_steps`.

        Blocks while the worker has nothing to do, at most `timeout_s` seconds. The batch is empty if the time ran out,
        or if the worker is generating and no waiting job can join. It is None if there will never be another: the queue
        is closed and empty, or the slot is retired.
        """
        with self._lock:
            slot.n_rows = capacity.n_running
            was_idle = False
            while not slot.is_retired:
                sleeps = capacity.n_running == 0 and not self._closed and self._is_spare(slot)
                waiting = () if sleeps else chain.from_iterable(self._waiting.values())
                share = self._share(slot, capacity)
                batch = next_batch(waiting, budget, share)
                if batch or capacity.n_running:
                    self._dispatch(slot, batch)
                    if batch:
                        left = chain.from_iterable(self._waiting.values())
                        slot.reason = dispatch_reason(batch, left, share, was_idle=was_idle)
                    return batch
                if self._closed:
                    return None
                if not self._sleep(slot, timeout_s):
                    return []
                was_idle = True
            return None

    def finish_batch(self, slot: WorkerSlot) -> None:
        """Forget the batch in flight, whose results are delivered. Called by the thread that took it."""
        cpu_s = time.thread_time() - slot.cpu_s
        with self._lock:
            self._batch_cpu_s += (cpu_s - self._batch_cpu_s) * _SMOOTHING
            slot.in_flight = []
            slot.active_at = time.monotonic()

    def start_steps(self, slot: WorkerSlot) -> None:
        """Count the batch in flight among the running sequences, until nobody waits for its jobs any more."""
        with self._lock:
            slot.running = [part for part in slot.running if not part.job.is_abandoned] + slot.in_flight
            slot.in_flight = []

    def give_back(self, slot: WorkerSlot, *, retire: bool = False) -> list[Job]:
        """Put the unfinished work of a failed worker back in front of the queue, and mark its jobs as suspects.

        With `retire`, the worker is given no more work. Jobs that nobody waits for are dropped. Returns the jobs that
        are given up instead: those that already were suspects, and those whose progress has been streamed, because
        their callers cannot receive it twice.
        """
        with self._lock:
            if retire:
                slot.is_retired = True
                self._slots.pop(slot, None)
            lost = [part for part in (*slot.in_flight, *slot.running) if not part.job.is_abandoned]
            slot.in_flight, slot.running, slot.n_rows = [], [], 0
            given_up = list(dict.fromkeys(part.job for part in lost if part.job.is_suspect or part.job.was_streamed))
            for job in given_up:
                self._n_items -= sum(map(len, self._waiting.pop(job, ())))
            retried: dict[Job, list[Slice]] = {}
            for part in lost:
                if part.job not in given_up:
                    part.job.is_suspect = True
                    retried.setdefault(part.job, []).append(part)
                    self._n_items += len(part)
            for job, parts in retried.items():
                parts += self._waiting.pop(job, ())
            self._waiting = retried | self._waiting
            self._wake_all()
            return given_up

    def close(self) -> None:
        """Let `take` return None once everything that waits has been taken."""
        with self._lock:
            self._closed = True
            self._wake_all()

    def clear(self) -> Sequence[Job]:
        """Remove and return all jobs that wait."""
        with self._lock:
            jobs, self._waiting, self._n_items = list(self._waiting), {}, 0
            return jobs

    def _dispatch(self, slot: WorkerSlot, batch: list[Slice]) -> None:
        """Record a batch as taken by a worker, and wake another worker if jobs still wait."""
        slot.in_flight = batch
        slot.active_at, slot.cpu_s = time.monotonic(), time.thread_time()
        for part in batch:
            part.job.started_at = min(part.job.started_at, slot.active_at)
            slot.n_rows += sum(n_rows_of(part.job.task, request) for request in part.requests)
            self._remove_front(part)
        if self._waiting:
            self._wake_if_needed()

    def _sleep(self, slot: WorkerSlot, timeout_s: float | None) -> bool:
        """Release the queue's lock until the worker is woken. Return False if that did not happen in time."""
        self._idle.append(slot)
        while slot in self._idle:
            if not slot.wake_up.wait(timeout_s) and slot in self._idle:
                self._idle.remove(slot)
                return False
        return True

    def _wake_if_needed(self) -> None:
        """Wake the worker that has slept for the shortest time, if one sleeps and is not spare.

        The caches of its core are the likeliest to have the weights still.
        """
        if self._idle and not self._is_spare(self._idle[-1]):
            self._idle.pop().wake_up.notify()

    def _wake_all(self) -> None:
        while self._idle:
            self._idle.pop().wake_up.notify()

    def _is_spare(self, slot: WorkerSlot) -> bool:
        """Return whether this worker may sleep: batches are short, and another worker is awake and active."""
        if not self._short_batches_on_one_worker or self._batch_cpu_s >= SHORT_BATCH_S:
            return False
        active_since = time.monotonic() - INACTIVE_AFTER_S
        awake = (other for other in self._slots if other is not slot and other not in self._idle)
        return any(other.active_at > active_since and not other.n_rows for other in awake)

    def _remove_front(self, part: Slice) -> None:
        """Remove dispatched requests, which are the first waiting ones of their job."""
        slices = self._waiting[part.job]
        if part.stop < slices[0].stop:
            slices[0] = Slice(part.job, part.stop, slices[0].stop)
        else:
            del slices[0]
        if not slices:
            del self._waiting[part.job]
        self._n_items -= len(part)

    def _share(self, slot: WorkerSlot, capacity: StepCapacity) -> StepCapacity:
        """Limit a worker's capacity to its fair share of all rows that run or wait.

        Where one worker generates all sequences, its share is all rows, or none while another worker generates.
        """
        if capacity is NO_STEPS:
            return capacity
        n_elsewhere = sum(other.n_rows for other in self._slots if other is not slot)
        if self._steps_on_one_worker:
            share = 0 if n_elsewhere else self._max_rows
        else:
            free = [other for other in self._slots if not other.in_flight or other is slot]
            share = -(-(sum(other.n_rows for other in free) + self._n_items) // max(1, len(free)))
        n_free = min(capacity.n_free, self._max_rows - n_elsewhere - capacity.n_running, share - capacity.n_running)
        return replace(capacity, n_free=max(0, n_free), n_elsewhere=n_elsewhere)
