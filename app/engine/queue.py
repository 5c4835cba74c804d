"""The bounded queue between the event loop and a model's workers."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from app.engine.policy import IDLE, Job, Room, Slice, next_batch, rows_of

SHORT_S, LATE_S = 0.005, 0.05
"""Where batches take less of a thread's time, one worker may do: another would wait for the interpreter's lock most of
the time, and so would the event loop; unless that one is late."""
_SMOOTHING = 0.1


def _silent() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class Hands:
    """What a worker has taken and not yet delivered; the queue owns it.

    `bell` is a lock that is free while it rings for a worker that sleeps; a condition would take longer. `in_flight` is
    the batch of this moment, and `spent_before` what its thread had spent when it was taken (`time.thread_time`);
    `seen_at` is when it last took one or had done one (`time.monotonic`). `running` is made by steps in `n_rows` rows.
    One that `is_retired` is given nothing any more.
    """

    bell: threading.Lock = field(default_factory=_silent)
    in_flight: list[Slice] = field(default_factory=list)
    seen_at: float = 0.0
    spent_before: float = 0.0
    running: list[Slice] = field(default_factory=list)
    n_rows: int = 0
    is_retired: bool = False


class JobQueue:
    """Jobs in order of arrival. Thread-safe; `take` blocks, nothing else does. Who has put one is to `wake` workers."""

    def __init__(
        self, max_items: int, max_rows: int = 1, *, one_makes_steps: bool = False, rests_spare: bool = True
    ) -> None:
        """At most `max_items` requests wait; what all workers make by steps has at most `max_rows` rows.

        Either one worker makes all steps, or they are spread over all that are free for it. With `rests_spare`, one
        worker at a time takes batches that are short: for models whose passes are many operations of torch on a CPU.
        """
        self._max_items, self._max_rows, self._one_makes_steps = max_items, max_rows, one_makes_steps
        self.rests_spare = rests_spare
        self._waiting: dict[Job, list[Slice]] = {}  # a dict keeps the order and forgets in O(1)
        self._n_items = 0
        self._hands: dict[Hands, None] = {}
        self._idle: list[Hands] = []
        self._batch_s = SHORT_S
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Requests waiting, those in flight not counted."""
        return self._n_items

    def put(self, job: Job) -> bool:
        """Append a job; False, and nothing changes, if that would exceed the limit."""
        with self._lock:
            if self._n_items + len(job.requests) > self._max_items:
                return False
            self._waiting[job] = [Slice(job, 0, len(job.requests))]
            self._n_items += len(job.requests)
            return True

    def remove(self, job: Job) -> None:
        """Forget what of the job is not yet dispatched."""
        with self._lock:
            self._forget(job)

    def hands(self) -> Hands:
        """For one worker more."""
        hands = Hands()
        with self._lock:
            self._hands[hands] = None
        return hands

    def wake(self) -> bool:
        """Wake a worker for what waits, unless one that is awake will take it. Returns whether anything waits."""
        with self._lock:
            if self._waiting:
                self._wake_unless_spare()
            return bool(self._waiting)

    def take(self, hands: Hands, budget: int, room: Room = IDLE, patience_s: float | None = None) -> list[Slice] | None:
        """Take the next batch, in flight until `done`; None if there will be none: queue closed, or hands retired.

        Waits for work if the worker is idle, as long as its patience lasts; the batch is empty if there was none, or if
        the worker has steps to make and there is nothing it has room for.
        """
        with self._lock:
            hands.n_rows = room.n_running
            while not hands.is_retired:
                is_spare = room.is_idle and not self._closed and self._is_spare(hands)
                waiting = () if is_spare else chain.from_iterable(self._waiting.values())
                batch = next_batch(waiting, budget, self._fair(hands, room))
                if batch or not room.is_idle:
                    hands.in_flight = batch
                    hands.seen_at, hands.spent_before = time.monotonic(), time.thread_time()
                    hands.n_rows += rows_of(batch)
                    for part in batch:
                        self._cut(part)
                    if self._waiting:
                        self._wake_unless_spare()
                    return batch
                if self._closed:
                    return None
                if not self._sleep(hands, patience_s):
                    return []
            return None

    def done(self, hands: Hands) -> None:
        """The batch in flight has been delivered, by the thread that took it."""
        spent = time.thread_time() - hands.spent_before
        with self._lock:
            self._batch_s += (spent - self._batch_s) * _SMOOTHING
            hands.in_flight = []
            hands.seen_at = time.monotonic()

    def run(self, hands: Hands) -> None:
        """The batch in flight has begun to be made by steps, until nobody waits for it."""
        with self._lock:
            hands.running = [part for part in hands.running if not part.job.is_abandoned] + hands.in_flight
            hands.in_flight = []

    def give_back(self, hands: Hands, *, for_good: bool = False) -> list[Job]:
        """After a failure: put what a worker had back, in front and as suspects; `for_good`, it takes nothing again.

        Returns those jobs that were suspects already, and those of which somebody has heard, who cannot hear it twice;
        they are given up and no longer in the queue. Nor are those that nobody waits for.
        """
        with self._lock:
            if for_good:
                hands.is_retired = True
                self._hands.pop(hands, None)
            lost = [part for part in (*hands.in_flight, *hands.running) if not part.job.is_abandoned]
            hands.in_flight, hands.running, hands.n_rows = [], [], 0
            guilty = list(dict.fromkeys(part.job for part in lost if part.job.suspect or part.job.heard))
            for job in guilty:
                self._forget(job)
            again: dict[Job, list[Slice]] = {}
            for part in lost:
                if part.job not in guilty:
                    part.job.suspect = True
                    again.setdefault(part.job, []).append(part)
                    self._n_items += len(part)
            for job, parts in again.items():
                parts += self._waiting.pop(job, ())
            self._waiting = again | self._waiting
            self._wake_all()
            return guilty

    def close(self) -> None:
        """Let `take` return None once everything waiting has been taken."""
        with self._lock:
            self._closed = True
            self._wake_all()

    def clear(self) -> Sequence[Job]:
        """Remove and return all that waits."""
        with self._lock:
            jobs, self._waiting, self._n_items = list(self._waiting), {}, 0
            return jobs

    def _sleep(self, hands: Hands, patience_s: float | None) -> bool:
        """Let the queue's lock go until woken; false if nobody did in time."""
        self._idle.append(hands)
        self._lock.release()
        try:
            is_woken = hands.bell.acquire(timeout=-1 if patience_s is None else patience_s)
        finally:
            self._lock.acquire()
        if is_woken:
            return True
        if hands in self._idle:
            self._idle.remove(hands)
            return False
        return hands.bell.acquire()  # rung just after

    def _wake_unless_spare(self) -> None:
        if self._idle and not self._is_spare(self._idle[-1]):
            self._wake()

    def _is_spare(self, hands: Hands) -> bool:
        """Whether batches are so short that another worker, which is awake and not late, does as well without it."""
        if not self.rests_spare or self._batch_s >= SHORT_S:
            return False
        latest = time.monotonic() - LATE_S
        awake = (one for one in self._hands if one is not hands and one not in self._idle)
        return any(one.seen_at > latest and not one.n_rows for one in awake)

    def _wake(self) -> None:
        """The one that was the last to fall idle: the model's weights are still in the caches of its core."""
        if self._idle:
            self._idle.pop().bell.release()

    def _wake_all(self) -> None:
        while self._idle:
            self._wake()

    def _forget(self, job: Job) -> None:
        self._n_items -= sum(map(len, self._waiting.pop(job, ())))

    def _cut(self, part: Slice) -> None:
        """Off the job's first waiting slice, of which it is the beginning."""
        slices = self._waiting[part.job]
        if part.stop < slices[0].stop:
            slices[0] = slices[0].since(part.stop)
        else:
            del slices[0]
        if not slices:
            del self._waiting[part.job]
        self._n_items -= len(part)

    def _fair(self, hands: Hands, room: Room) -> Room:
        """No more rows than its share of what is made by steps: all of it, or none, where one makes all steps."""
        if room is IDLE:
            return room
        n_elsewhere = sum(other.n_rows for other in self._hands if other is not hands)
        if self._one_makes_steps:
            share = 0 if n_elsewhere else self._max_rows
        else:
            free = [other for other in self._hands if not other.in_flight or other is hands]
            share = -(-(sum(other.n_rows for other in free) + self._n_items) // max(1, len(free)))
        n_rows = min(room.n_rows, self._max_rows - n_elsewhere - room.n_running, share - room.n_running)
        return replace(room, n_rows=max(0, n_rows), n_elsewhere=n_elsewhere)
