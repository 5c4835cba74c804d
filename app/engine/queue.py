"""The bounded queue between the event loop and a worker's thread. Dispatch is immediate: no timer, no polling."""

import threading
from collections.abc import Iterable, Sequence

from app.engine.policy import IDLE, Job, Room, Slice, next_batch


class JobQueue:
    """Jobs in order of arrival. Thread-safe; `take` blocks, nothing else does."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._jobs: dict[Job, None] = {}  # a dict keeps the order and forgets in O(1)
        self._n_items = 0
        self._in_flight: list[Slice] = []
        self._running: list[Slice] = []
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Requests waiting, those in flight not counted."""
        return self._n_items

    def put(self, job: Job) -> bool:
        """Append a job; False, and nothing changes, if that would exceed the limit."""
        with self._changed:
            if self._n_items + len(job.requests) > self._max_items:
                return False
            self._jobs[job] = None
            self._n_items += len(job.requests)
            self._changed.notify()
            return True

    def remove(self, job: Job) -> None:
        """Forget what of the job is not yet dispatched."""
        with self._changed:
            if job in self._jobs:
                del self._jobs[job]
                self._n_items -= len(job.requests) - job.cursor

    def take(self, budget: int, room: Room = IDLE, patience_s: float | None = None) -> list[Slice] | None:
        """Take the next batch, in flight until `done`; None once closed and empty.

        Waits for work if the worker is idle, as long as its patience lasts; the batch is empty if there was none, or if
        the worker has steps to make and there is nothing it has room for.
        """
        with self._changed:
            while room.is_idle and not self._jobs and not self._closed:
                if not self._changed.wait(patience_s):
                    return []
            batch = next_batch(self._jobs, budget, room)
            self._in_flight = batch
            for part in batch:
                self._n_items -= part.stop - part.job.cursor
                part.job.cursor = part.stop
                if part.stop == len(part.job.requests):
                    del self._jobs[part.job]
            return batch if batch or not room.is_idle else None

    def done(self) -> None:
        """The batch in flight has been delivered."""
        with self._changed:
            self._in_flight = []

    def run(self) -> None:
        """The batch in flight has begun to be made by steps; each of its jobs runs until `ended`."""
        with self._changed:
            self._running += self._in_flight
            self._in_flight = []

    def ended(self, jobs: Iterable[Job]) -> None:
        """Nothing of these jobs runs any more."""
        gone = set(jobs)
        with self._changed:
            self._running = [part for part in self._running if part.job not in gone]

    def return_in_flight(self) -> list[Job]:
        """After a worker's death: put what it had back, in front and as suspects.

        Returns those jobs that were suspects already, and those of which somebody has heard, who cannot hear it twice;
        they are given up and no longer in the queue. Nor are those that nobody waits for.
        """
        with self._changed:
            lost = [*self._in_flight, *self._running]
            self._in_flight, self._running = [], []
            guilty = list(dict.fromkeys(part.job for part in lost if part.job.suspect or part.job.heard))
            for job in guilty:
                if job in self._jobs:
                    del self._jobs[job]
                    self._n_items -= len(job.requests) - job.cursor
            again: dict[Job, None] = {}
            for part in lost:
                if part.job not in guilty and not part.job.is_abandoned:
                    first = min(part.start, part.job.cursor)  # several parts of one job may have been running
                    self._n_items += part.job.cursor - first
                    part.job.cursor = first
                    part.job.suspect = True
                    again[part.job] = None
            self._jobs = again | self._jobs
            self._changed.notify()
            return guilty

    def close(self) -> None:
        """Let `take` return None once everything waiting has been taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def heir(self) -> "JobQueue":
        """An open queue with all that waits or runs; whoever still holds this one will find it closed and empty."""
        heir = JobQueue(self._max_items)
        with self._changed:
            heir._jobs, heir._n_items = self._jobs, self._n_items
            heir._in_flight, heir._running = self._in_flight, self._running
            self._jobs, self._n_items, self._in_flight, self._running, self._closed = {}, 0, [], [], True
        return heir

    def clear(self) -> Sequence[Job]:
        """Remove and return all that waits."""
        with self._changed:
            jobs, self._jobs, self._n_items = list(self._jobs), {}, 0
            return jobs
