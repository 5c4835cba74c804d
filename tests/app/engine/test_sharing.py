"""Small jobs do not wait for what the workers do for large ones."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.engine.engine import Engine
from app.engine.job import Job
from app.engine.queue import JobQueue
from app.engine.sharing import MAX_PAUSE_S, YIELD_S
from app.engine.worker_slot import WorkerSlot
from app.errors import QueueFull
from models.tasks import ENCODE, GENERATE
from tests.app.engine import faulty_gpt
from tests.app.engine.faulty_gpt import request
from tests.app.engine.scripted import IS_LONG, Clock, ScriptedModel, item, job, start, until, values

pytestmark = pytest.mark.anyio


def queue_of(*, max_items: int = 99, **options: bool) -> tuple[JobQueue, WorkerSlot, WorkerSlot]:
    """Return a queue whose small jobs cost 2 at most, with a worker, and one for small jobs."""
    queue = JobQueue(max_items, 8, max_small_cost=2, **options)
    return queue, queue.add_worker(), queue.add_worker(is_for_small_jobs=True)


def jobs_in(queue: JobQueue, slot: WorkerSlot, budget: int = 2) -> list[Job]:
    batch = queue.take(slot, budget, timeout_s=0)
    assert batch is not None
    return [part.job for part in batch]


def test_a_small_job_overtakes_the_batch_of_a_large_one() -> None:
    queue, worker, for_small = queue_of()
    large, small = job(item(1), item(2), item(3)), job(item(4))
    queue.put(large)
    assert jobs_in(queue, worker) == [large]
    assert jobs_in(queue, for_small) == []  # which never takes a large one
    queue.put(small)
    assert jobs_in(queue, for_small) == [small]


def test_a_small_job_waits_for_a_batch_of_small_ones_of_its_client() -> None:
    queue, worker, for_small = queue_of()
    small, others = job(item(4)), [job(item(number)) for number in range(4)]
    for each in others:
        queue.put(each)
    assert jobs_in(queue, worker) == others[:2]
    queue.put(small)
    assert jobs_in(queue, for_small) == []


def test_a_client_with_few_jobs_overtakes_one_with_many_but_not_the_reverse() -> None:
    queue, worker, for_small = queue_of()
    many = [job(item(number), client="many") for number in range(4)]
    for each in many:
        queue.put(each)
    assert jobs_in(queue, worker) == many[:2]
    few = job(item(9), client="few")
    queue.put(few)
    assert jobs_in(queue, for_small) == [few]
    queue.remove(few)
    assert jobs_in(queue, for_small) == []


def test_a_worker_without_work_is_waited_for() -> None:
    queue, worker, for_small = queue_of(short_batches_on_one_worker=False)
    queue.add_worker()
    queue.put(job(item(1), item(2), item(3)))
    queue.take(worker, 2)
    queue.put(job(item(4)))
    assert jobs_in(queue, for_small) == []


def test_places_in_the_queue_are_kept_for_small_jobs() -> None:
    queue, *_ = queue_of(max_items=16)
    assert queue.put(job(*map(item, range(16))))  # nothing waits yet
    queue, *_ = queue_of(max_items=16)
    assert queue.put(job(*map(item, range(12))))
    assert not queue.put(job(item(1), item(2), item(3)))
    assert queue.put(job(item(1), item(2)))
    assert queue.put(job(item(3)))
    assert not queue.put(job(item(4)))  # of a client that has much waiting
    assert queue.put(job(item(4), client="another"))


def test_one_worker_is_kept_free_of_large_jobs_while_small_ones_come_often(clock: Clock) -> None:
    queue, worker, _ = queue_of(short_batches_on_one_worker=False)
    other = queue.add_worker()
    large = job(*map(item, range(40)))
    queue.put(large)
    assert jobs_in(queue, worker, 8) == [large]
    small = job(item(4))
    small.enqueued_at = clock.now
    queue.put(small)
    assert jobs_in(queue, other, 8) == [small]
    queue.finish_batch(other)
    assert jobs_in(queue, other, 8) == []
    queue.finish_batch(worker)
    assert len(queue.take(worker, 8) or []) == 1
    assert sum(map(len, worker.in_flight)) == 2  # its batches are smaller meanwhile
    clock.now += 1
    assert jobs_in(queue, other, 8) == [large]
    assert sum(map(len, other.in_flight)) == 8


def test_a_worker_pauses_between_parts_of_large_work_while_small_work_is_done(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, worker, for_small = queue_of()
    large, small = job(*map(item, range(9))), job(item(4))
    queue.put(large)
    queue.take(worker, 2)
    small.enqueued_at = clock.now
    queue.put(small)
    assert jobs_in(queue, for_small) == [small]
    worker.resumed_at = clock.now - 60
    pauses: list[float] = []
    monkeypatch.setattr(queue._small_done, "wait", pauses.append)
    queue.give_way(worker)
    queue.finish_batch(for_small)
    queue.give_way(worker)
    queue.give_way(for_small)
    clock.now += 1
    queue.give_way(worker)
    assert pauses == [MAX_PAUSE_S, YIELD_S]
    assert worker.resumed_at == clock.now - 1


@pytest.fixture
async def sharing(model: ScriptedModel) -> AsyncIterator[Engine]:
    """An engine whose batches have two items, so that a job of more is a large one."""
    engine = await start(model, max_queue_items=8, max_items=8, max_batch_elements=2)
    yield engine
    model.parts_gate.set()
    await engine.stop()


async def test_a_small_request_is_answered_while_a_large_one_is_computed(sharing: Engine, model: ScriptedModel) -> None:
    model.parts_gate.clear()
    large = asyncio.create_task(sharing.submit(ENCODE, [item(IS_LONG), item(1), item(2)], client="heavy"))
    await until(lambda: model.n_parts > 0)
    assert values(await sharing.submit(ENCODE, [item(5)], client="light")) == [10.0]
    assert values(await sharing.submit(ENCODE, [item(6)], client="heavy")) == [12.0]
    assert not large.done()
    model.parts_gate.set()
    assert values(await large) == [2 * IS_LONG, 2.0, 4.0]


async def test_work_that_nobody_waits_for_ends_at_its_next_part(sharing: Engine, model: ScriptedModel) -> None:
    model.parts_gate.clear()
    large = asyncio.create_task(sharing.submit(ENCODE, [item(IS_LONG), item(1), item(2)]))
    await until(lambda: model.n_parts > 0)
    large.cancel()
    await until(large.done)
    model.parts_gate.set()
    assert values(await sharing.submit(ENCODE, [item(5), item(6)])) == [10.0, 12.0]
    assert model.n_parts == 1
    assert model.batches == [[IS_LONG, 1.0], [5.0, 6.0]]


async def test_the_error_of_a_full_queue_says_what_is_kept_for_small_requests(
    sharing: Engine, model: ScriptedModel
) -> None:
    model.gate.clear()
    running = asyncio.create_task(sharing.submit(ENCODE, [item(0)]))
    await until(lambda: model.entered.acquire(blocking=False))
    waiting = asyncio.create_task(sharing.submit(ENCODE, [item(1), item(2), item(3), item(4)]))
    await until(lambda: sharing.n_queued == 4)
    with pytest.raises(QueueFull, match="the limit is 8, one in 8 of which is kept for small requests"):
        await sharing.submit(ENCODE, [item(5), item(6), item(7), item(8)])
    model.gate.set()
    await running
    await waiting


async def test_a_short_generation_does_not_wait_for_the_rows_of_a_large_one() -> None:
    engine = await faulty_gpt.start(max_running_sequences=8)
    alone = await faulty_gpt.ids(engine, request(4, 6))
    requests = [request(3, 20, n=8) for _ in range(200)]
    large = asyncio.create_task(engine.submit(GENERATE, requests, client="heavy"))
    await until(lambda: engine.n_running == 8)
    outcome = await engine.submit(GENERATE, [request(4, 6)], client="light")
    assert [[token.id for token in result.sequences[0].tokens] for result in outcome.results] == alone
    assert outcome.batch_size == 1
    assert not large.done()
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    await engine.stop()
