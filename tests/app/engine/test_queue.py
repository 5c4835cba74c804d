import threading

from app.engine.queue import JobQueue
from tests.app.engine.scripted import item, job


def test_the_limit_counts_requests_and_a_refused_job_changes_nothing() -> None:
    queue = JobQueue(max_items=3)
    assert queue.put(job(item(1), item(2)))
    assert not queue.put(job(item(3), item(4)))
    assert len(queue) == 2
    assert queue.put(job(item(5)))


def test_dispatched_requests_no_longer_count() -> None:
    queue = JobQueue(max_items=3)
    queue.put(job(item(1), item(2), item(3)))
    assert queue.take(budget=2) is not None
    assert len(queue) == 1


def test_removing_frees_what_is_not_yet_dispatched() -> None:
    queue = JobQueue(max_items=3)
    leaving = job(item(1), item(2), item(3))
    queue.put(leaving)
    queue.take(budget=1)
    queue.remove(leaving)
    queue.remove(leaving)
    assert len(queue) == 0


def test_a_closed_queue_gives_what_waits_and_then_nothing() -> None:
    queue = JobQueue(max_items=3)
    queue.put(job(item(1)))
    queue.close()
    assert queue.take(budget=9) is not None
    assert queue.take(budget=9) is None


def test_closing_wakes_a_waiting_worker() -> None:
    queue = JobQueue(max_items=3)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take(budget=9)))
    thread.start()
    queue.close()
    thread.join(10)
    assert taken == [None]


def test_a_lost_batch_returns_in_front_as_suspects() -> None:
    queue = JobQueue(max_items=9)
    first, second = job(item(1), item(2)), job(item(3))
    queue.put(first)
    queue.take(budget=1)
    queue.put(second)
    assert queue.return_in_flight() == []
    assert first.suspect
    assert len(queue) == 3
    batch = queue.take(budget=9)
    assert batch is not None
    assert (batch[0].job, batch[0].start, batch[0].stop) == (first, 0, 1)


def test_a_suspect_lost_again_is_given_up() -> None:
    queue = JobQueue(max_items=9)
    lethal = job(item(1), item(2))
    queue.put(lethal)
    for expected in ([], [lethal]):
        queue.take(budget=1)
        assert queue.return_in_flight() == expected
    assert len(queue) == 0


def test_a_delivered_batch_is_not_returned() -> None:
    queue = JobQueue(max_items=9)
    queue.put(job(item(1)))
    queue.take(budget=9)
    queue.done()
    assert queue.return_in_flight() == []
    assert len(queue) == 0


def test_a_job_that_nobody_waits_for_is_not_returned() -> None:
    queue = JobQueue(max_items=9)
    left, other = job(item(1)), job(item(2))
    queue.put(left)
    queue.put(other)
    queue.take(budget=9)
    left.is_abandoned = True
    assert queue.return_in_flight() == []
    assert len(queue) == 1
    batch = queue.take(budget=9)
    assert batch is not None
    assert [part.job for part in batch] == [other]


def test_an_idle_worker_waits_as_long_as_its_patience_lasts() -> None:
    assert JobQueue(max_items=9).take(budget=9, patience_s=0.01) == []


def test_an_heir_has_all_that_was_there_and_leaves_nothing_behind() -> None:
    queue = JobQueue(max_items=3)
    running, waiting = job(item(1)), job(item(2), item(3))
    queue.put(running)
    queue.take(budget=1)
    queue.put(waiting)
    heir = queue.heir()
    assert queue.take(budget=9) is None
    assert not queue.return_in_flight()
    assert len(heir) == 2
    assert not heir.put(job(item(4), item(5)))
    assert heir.return_in_flight() == []
    assert len(heir) == 3
    batch = heir.take(budget=9)
    assert batch is not None
    assert [part.job for part in batch] == [running]
