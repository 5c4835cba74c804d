import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from app.engine.job import Slice
from app.engine.queue import JobQueue
from app.engine.sharing import INACTIVE_AFTER_S
from app.engine.worker_slot import WorkerSlot
from tests.app.engine.scripted import Clock, item, job


def test_the_limit_counts_requests_and_a_refused_job_changes_nothing() -> None:
    queue = JobQueue(max_items=3)
    assert queue.put(job(item(1), item(2)))
    assert not queue.put(job(item(3), item(4)))
    assert len(queue) == 2
    assert queue.put(job(item(5)))


def test_dispatched_requests_no_longer_count() -> None:
    queue = JobQueue(max_items=3)
    slot = queue.add_worker()
    queue.put(job(item(1), item(2), item(3)))
    assert queue.take(slot, budget=2) is not None
    assert len(queue) == 1


def test_removing_frees_what_is_not_yet_dispatched() -> None:
    queue = JobQueue(max_items=3)
    slot = queue.add_worker()
    leaving = job(item(1), item(2), item(3))
    queue.put(leaving)
    queue.take(slot, budget=1)
    queue.remove(leaving)
    queue.remove(leaving)
    assert len(queue) == 0


def test_a_closed_queue_gives_what_waits_and_then_nothing() -> None:
    queue = JobQueue(max_items=3)
    slot = queue.add_worker()
    queue.put(job(item(1)))
    queue.close()
    assert queue.take(slot, budget=9) is not None
    assert queue.take(slot, budget=9) is None


def test_a_batch_has_the_reason_for_which_it_was_dispatched() -> None:
    queue = JobQueue(max_items=3)
    with sleeping(queue):
        (slot,) = queue._slots
        queue.put(job(item(1)))
        queue.wake_worker()
    assert slot.reason == "worker-idle"
    queue.put(job(item(1), item(2)))
    reasons = []
    for _ in range(2):
        queue.take(slot, budget=1)
        reasons.append(slot.reason)
    assert reasons == ["budget-full", "worker-free"]


def test_closing_wakes_a_waiting_worker() -> None:
    queue = JobQueue(max_items=3)
    slot = queue.add_worker()
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take(slot, budget=9)))
    thread.start()
    queue.close()
    thread.join(10)
    assert taken == [None]


def test_the_batch_of_a_failed_worker_returns_to_the_front_as_suspects() -> None:
    queue = JobQueue(max_items=9)
    slot = queue.add_worker()
    first, second = job(item(1), item(2)), job(item(3))
    queue.put(first)
    queue.take(slot, budget=1)
    queue.put(second)
    assert queue.give_back(slot) == []
    assert first.is_suspect
    assert len(queue) == 3
    batch = queue.take(slot, budget=9)
    assert batch is not None
    assert (batch[0].job, batch[0].start, batch[0].stop) == (first, 0, 1)


def test_a_suspect_that_fails_again_is_given_up() -> None:
    queue = JobQueue(max_items=9)
    slot = queue.add_worker()
    lethal = job(item(1), item(2))
    queue.put(lethal)
    for expected in ([], [lethal]):
        queue.take(slot, budget=1)
        assert queue.give_back(slot) == expected
    assert len(queue) == 0


def test_a_finished_batch_is_not_given_back() -> None:
    queue = JobQueue(max_items=9)
    slot = queue.add_worker()
    queue.put(job(item(1)))
    queue.take(slot, budget=9)
    queue.finish_batch(slot)
    assert queue.give_back(slot) == []
    assert len(queue) == 0


def test_an_abandoned_job_is_not_given_back() -> None:
    queue = JobQueue(max_items=9)
    slot = queue.add_worker()
    left, other = job(item(1)), job(item(2))
    queue.put(left)
    queue.put(other)
    queue.take(slot, budget=9)
    left.is_abandoned = True
    assert queue.give_back(slot) == []
    assert len(queue) == 1
    batch = queue.take(slot, budget=9)
    assert batch is not None
    assert [part.job for part in batch] == [other]


def test_an_idle_worker_waits_until_its_timeout() -> None:
    queue = JobQueue(max_items=9)
    assert queue.take(queue.add_worker(), budget=9, timeout_s=0.01) == []


def test_a_retired_worker_loses_its_work_and_gets_no_more() -> None:
    queue = JobQueue(max_items=3)
    slot, others = queue.add_worker(), queue.add_worker()
    running, waiting = job(item(1)), job(item(2))
    queue.put(running)
    queue.take(slot, budget=1)
    queue.put(waiting)
    assert queue.give_back(slot, retire=True) == []
    assert queue.take(slot, budget=9) is None
    queue.finish_batch(slot)
    assert queue.give_back(slot) == []
    assert len(queue) == 2
    batch = queue.take(others, budget=9)
    assert batch is not None
    assert [part.job for part in batch] == [running]


def test_only_the_work_of_the_failed_worker_is_given_back() -> None:
    queue = JobQueue(max_items=9)
    slot, others = queue.add_worker(), queue.add_worker()
    large = job(*(item(i) for i in range(6)))
    queue.put(large)
    for taker in (slot, others, slot):
        queue.take(taker, budget=2)
    queue.finish_batch(slot)  # the last two
    queue.put(large_too := job(item(7)))
    assert queue.give_back(others) == []
    assert len(queue) == 3
    time.sleep(INACTIVE_AFTER_S)  # or the other worker would be waited for
    found = []
    while len(queue):
        batch = queue.take(slot, budget=9)
        assert batch is not None
        found += [(part.job, part.start, part.stop) for part in batch]
    assert found == [(large, 2, 3), (large, 3, 4), (large_too, 0, 1)]


@contextmanager
def sleeping(queue: JobQueue) -> Iterator[list[object]]:
    """Run an idle worker on a thread; yield the list that its batch is appended to. The test must wake it."""
    slot, taken = queue.add_worker(), list[object]()
    thread = threading.Thread(target=lambda: taken.append(queue.take(slot, budget=9)))
    thread.start()
    while not queue._idle:
        time.sleep(0.001)
    yield taken
    thread.join(10)
    assert len(taken) == 1


def with_short_batches(*, short_batches_on_one_worker: bool = True) -> tuple[JobQueue, WorkerSlot]:
    """Make a queue that has seen short batches, and a worker that has just taken one."""
    queue = JobQueue(max_items=9, short_batches_on_one_worker=short_batches_on_one_worker)
    busy = queue.add_worker()
    for number in range(2):
        queue.put(job(item(number)))
        assert queue.take(busy, budget=9)
        if number == 0:
            queue.finish_batch(busy)
    return queue, busy


def test_a_worker_that_is_soon_free_is_waited_for_unless_it_is_late(clock: Clock) -> None:
    queue, busy = with_short_batches()
    with sleeping(queue):
        queue.put(job(item(2)))
        queue.wake_worker()
        assert queue._idle  # no worker was woken
        queue.finish_batch(busy)
        assert queue._idle
        assert queue.take(busy, budget=9)
        clock.now += INACTIVE_AFTER_S
        queue.put(job(item(3)))
        queue.wake_worker()


def test_while_batches_are_short_one_worker_takes_them_all(clock: Clock) -> None:
    queue, busy = with_short_batches()
    spare = queue.add_worker()
    queue.finish_batch(busy)
    queue.put(job(item(2)))
    assert queue.take(spare, budget=1, timeout_s=0.01) == []  # although a job waits
    assert queue.take(busy, budget=1)
    queue.put(job(item(3)))
    clock.now += INACTIVE_AFTER_S
    assert queue.take(spare, budget=1)


def test_without_the_rule_for_short_batches_all_workers_take_them(clock: Clock) -> None:
    queue, _ = with_short_batches(short_batches_on_one_worker=False)
    with sleeping(queue):
        queue.put(job(item(2)))
        queue.wake_worker()


def test_another_worker_is_woken_when_the_busy_one_is_late(clock: Clock) -> None:
    queue, _ = with_short_batches()
    with sleeping(queue) as taken:
        queue.put(job(item(2)))
        assert queue.wake_worker()
        clock.now += INACTIVE_AFTER_S
        assert queue._idle
        assert not taken  # no worker was woken
        assert queue.wake_worker()
    assert not queue.wake_worker()


def test_all_workers_empty_a_closed_queue(clock: Clock) -> None:
    queue, busy = with_short_batches()
    other = queue.add_worker()
    clock.now += INACTIVE_AFTER_S
    queue.put(job(item(2)))
    assert queue.take(other, budget=1)
    for number in range(2):
        queue.put(job(item(number)))
    queue.finish_batch(busy)
    queue.finish_batch(other)
    queue.close()
    assert queue.take(busy, budget=1)
    assert queue.take(other, budget=1)
    assert queue.take(busy, budget=1) is None


def test_an_idle_worker_is_woken_while_batches_may_be_long() -> None:
    queue = JobQueue(max_items=9)
    queue.put(job(item(0)))
    assert queue.take(queue.add_worker(), budget=9)
    with sleeping(queue):
        queue.put(job(item(1)))  # no batch has been measured yet
        queue.wake_worker()


def test_a_woken_worker_takes_all_jobs_that_were_put_before() -> None:
    queue = JobQueue(max_items=9)
    with sleeping(queue) as taken:
        jobs = [job(item(number)) for number in range(3)]
        for waiting in jobs:
            queue.put(waiting)
        assert queue._idle
        assert queue.wake_worker()
    (batch,) = taken
    assert [part.job for part in cast("list[Slice]", batch)] == jobs
