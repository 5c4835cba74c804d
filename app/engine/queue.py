"""The bounded queue between the event loop and the workers of one model."""

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from app.engine.job import Job, Slice
from app.engine.policy import (
    NO_STEPS,
    StepCapacity,
    dispatch_reason,
    n_rows_of,
    next_batch,
    work_of,
)
from app.engine.sharing import SharedWorkers
from app.engine.worker_slot import WorkerSlot

KEPT_FOR_SMALL_JOBS = 8
"""One of so many places in the queue is kept for small jobs."""
_SMOOTHING = 0.1
"""Weight of the newest batch in the smoothed CPU time of a batch."""


class JobQueue(SharedWorkers):
    """Jobs in a fair order. Thread-safe; only `take` blocks. Whoever puts a job calls `wake_worker` afterwards.

    The order is fair between clients, and between the jobs of each client; see `FairOrder`. A small job is one that
    fits into one batch. A worker that takes only these, beside the others, lets them overtake the long batches and the
    many rows of large jobs, because threads share the processor fairly.
    """

    def __init__(
        self,
        max_items: int,
        max_rows: int = 1,
        *,
        max_small_cost: float = math.inf,
        steps_on_one_worker: bool = False,
        short_batches_on_one_worker: bool = True,
    ) -> None:
        """Make an empty queue.

        Args:
            max_items: most requests that may wait.
            max_rows: most rows that all workers together may generate at once.
            max_small_cost: largest cost of a small job.
            steps_on_one_worker: one worker generates all sequences; otherwise they are spread over the free workers.
            short_batches_on_one_worker: while batches are short, one worker takes them all and the others sleep. Pays
                for models whose forward passes are many small operations of torch on a CPU.
        """
        super().__init__(
            max_rows,
            steps_on_one_worker=steps_on_one_worker,
            short_batches_on_one_worker=short_batches_on_one_worker,
        )
        self._max_items, self._max_small_cost = max_items, max_small_cost
        self._waiting: dict[Job, list[Slice]] = {}
        self._returned: dict[Job, None] = {}  # jobs of failed workers, which are served first
        self._n_items = 0

    def __len__(self) -> int:
        """Count the requests that wait; those in flight do not."""
        return self._n_items

    def set_limit(self, max_items: int) -> None:
        """Set the most requests that may wait. Those that wait already are kept."""
        with self._lock:
            self._max_items = max_items

    def put(self, job: Job) -> bool:
        """Append a job. Return False, and change nothing, if that would exceed the limit.

        A part of the queue is kept for the small jobs of others: an eighth of it is not for large jobs, and half of
        that not for clients who have much waiting already. A job that finds nothing waiting may use the whole queue.
        """
        job.size = job.cost / self._max_small_cost
        if job.task.by_steps:
            n_rows = sum(n_rows_of(job.task, request) for request in job.requests)
            job.size = max(job.size, n_rows / self.max_small_rows) if self._max_small_cost < math.inf else 0.0
        with self._lock:
            if self._n_items + len(job.requests) > self._limit_for(job):
                return False
            self._waiting[job] = [Slice(job, 0, len(job.requests))]
            self._n_items += len(job.requests)
            self._order.add(job)
            if self._order.is_mixed and job.size <= 1:
                self._small_put_at = job.enqueued_at
            return True

    def remove(self, job: Job) -> None:
        """Forget a job that has ended, or that nobody waits for, and drop its requests that are not yet dispatched."""
        with self._lock:
            self._n_items -= sum(map(len, self._waiting.pop(job, ())))
            self._returned.pop(job, None)
            self._order.remove(job)

    def add_worker(self, *, is_for_small_jobs: bool = False) -> WorkerSlot:
        """Register one more worker. One at a time may be for small jobs."""
        slot = WorkerSlot(threading.Condition(self._lock), is_for_small_jobs)
        with self._lock:
            if is_for_small_jobs:
                self._small_slot = slot
            else:
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
            if not slot.n_rows:
                self._small_done.notify_all()
            was_idle = False
            while not slot.is_retired:
                share = self._share(slot, capacity)
                batch = next_batch(self._candidates(slot, capacity), self._budget_for(slot, budget), share)
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
                slot.resumed_at, was_idle = time.monotonic(), True
            return None

    def finish_batch(self, slot: WorkerSlot) -> None:
        """Forget the batch in flight, whose results are delivered. Called by the thread that took it."""
        cpu_s = time.thread_time() - slot.cpu_s
        with self._lock:
            if not slot.is_for_small_jobs:
                self._batch_cpu_s += (cpu_s - self._batch_cpu_s) * _SMOOTHING
            slot.in_flight = []
            slot.active_at = time.monotonic()
            self._small_done.notify_all()

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
                self._small_slot = None if self._small_slot is slot else self._small_slot
            lost = [part for part in (*slot.in_flight, *slot.running) if not part.job.is_abandoned]
            slot.in_flight, slot.running, slot.n_rows = [], [], 0
            given_up = list(dict.fromkeys(part.job for part in lost if part.job.is_suspect or part.job.was_streamed))
            for job in given_up:
                self._n_items -= sum(map(len, self._waiting.pop(job, ())))
                self._order.remove(job)
            retried: dict[Job, list[Slice]] = {}
            for part in lost:
                if part.job not in given_up:
                    part.job.is_suspect = True
                    retried.setdefault(part.job, []).append(part)
                    self._n_items += len(part)
            for job, parts in retried.items():
                parts += self._waiting.pop(job, ())
            self._waiting = retried | self._waiting
            self._returned = dict.fromkeys(retried) | self._returned
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
            self._returned.clear()
            for job in jobs:
                self._order.remove(job)
            return jobs

    def _limit_for(self, job: Job) -> int:
        """Return how many requests may wait, this job's included."""
        kept = self._max_items // KEPT_FOR_SMALL_JOBS
        if not kept or not self._n_items:
            return self._max_items
        if job.is_large:
            return self._max_items - kept
        return self._max_items - (kept // 2 if self._order.is_large_with(job) else 0)

    def _dispatch(self, slot: WorkerSlot, batch: list[Slice]) -> None:
        """Record a batch as taken by a worker, and wake another worker if jobs still wait."""
        slot.in_flight = batch
        slot.active_at, slot.cpu_s = time.monotonic(), time.thread_time()
        for part in batch:
            part.job.started_at = min(part.job.started_at, slot.active_at)
            slot.n_rows += sum(n_rows_of(part.job.task, request) for request in part.requests)
            self._remove_front(part)
            if part.job in self._order:
                self._order.charge(part.job, work_of(part), still_waits=part.job in self._waiting)
        if self._waiting:
            self._wake_if_needed()

    def _candidates(self, slot: WorkerSlot, capacity: StepCapacity) -> Iterable[Slice]:
        """Return the slices that a worker may take, in the order in which they are to be served."""
        order: Iterator[Job]
        if slot.is_for_small_jobs:
            order = iter(()) if self._closed else self._overtaking()
            return chain.from_iterable(self._waiting[job] for job in order)
        if not capacity.n_running and not self._closed and self._is_spare(slot):
            return ()
        order = self._order.waiting()
        if self._returned:
            order = chain(self._returned, (job for job in order if job not in self._returned))
        if capacity.n_running and self._has_room_for_small_rows():
            left_out = {job for job in self._overtaking() if job.task.by_steps}
            order = (job for job in order if job not in left_out)
        elif self._is_kept_free(slot):
            order = (job for job in order if not job.is_large)
        return chain.from_iterable(self._waiting[job] for job in order)

    def _sleep(self, slot: WorkerSlot, timeout_s: float | None) -> bool:
        """Release the queue's lock until the worker is woken. Return False if that did not happen in time."""
        idle = self._idle_small if slot.is_for_small_jobs else self._idle
        idle.append(slot)
        while slot in idle:
            if not slot.wake_up.wait(timeout_s) and slot in idle:
                idle.remove(slot)
                return False
        return True

    def _wake_if_needed(self) -> None:
        """Wake the worker that has slept for the shortest time, if one sleeps and is not spare.

        The caches of its core are the likeliest to have the weights still. The worker for small jobs is woken if one of
        them may overtake.
        """
        if self._idle and not self._is_spare(self._idle[-1]):
            self._idle.pop().wake_up.notify()
        if self._idle_small and next(self._overtaking(), None) is not None:
            self._idle_small.pop().wake_up.notify()

    def _wake_all(self) -> None:
        for idle in (self._idle, self._idle_small):
            while idle:
                idle.pop().wake_up.notify()

    def _remove_front(self, part: Slice) -> None:
        """Remove dispatched requests, which are the first waiting ones of their job."""
        slices = self._waiting[part.job]
        if part.stop < slices[0].stop:
            slices[0] = Slice(part.job, part.stop, slices[0].stop)
        else:
            del slices[0]
        if not slices:
            del self._waiting[part.job]
            self._returned.pop(part.job, None)
        self._n_items -= len(part)

    def _share(self, slot: WorkerSlot, capacity: StepCapacity) -> StepCapacity:
        """Limit a worker's capacity to its fair share of all rows that run or wait.

        Where one worker generates all sequences, its share is all rows, or none while another worker generates.
        """
        if capacity is NO_STEPS or slot.is_for_small_jobs:
            return capacity
        n_elsewhere = sum(other.n_rows for other in self._slots if other is not slot)
        if self.steps_on_one_worker:
            share = 0 if n_elsewhere else self._max_rows
        else:
            free = [other for other in self._slots if not other.in_flight or other is slot]
            share = -(-(sum(other.n_rows for other in free) + self._n_items) // max(1, len(free)))
        n_free = min(capacity.n_free, self._max_rows - n_elsewhere - capacity.n_running, share - capacity.n_running)
        return replace(capacity, n_free=max(0, n_free), n_elsewhere=n_elsewhere)
