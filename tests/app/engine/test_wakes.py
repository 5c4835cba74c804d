"""When workers are woken."""

import asyncio

import pytest

from app.engine.engine import Engine
from app.engine.queue import JobQueue
from app.errors import InferenceFailed
from models.tasks import ENCODE
from tests.app.engine.scripted import POISON, ScriptedModel, held, item, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def n_waiting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many jobs waited each time the engine woke a worker."""
    counts: list[int] = []
    wake = JobQueue.wake_worker

    def counted(queue: JobQueue) -> bool:
        counts.append(len(queue))
        return wake(queue)

    monkeypatch.setattr(JobQueue, "wake_worker", counted)
    return counts


async def test_a_worker_is_woken_once_for_all_jobs_of_one_turn_of_the_loop(
    engine: Engine, model: ScriptedModel, n_waiting: list[int]
) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(1, 5)]
    await until(lambda: len(n_waiting) > 1)
    model.gate.set()
    await asyncio.gather(first, *waiting)
    assert n_waiting == [1, 4]


async def test_a_lone_job_wakes_a_worker_at_once_after_earlier_jobs_failed_or_left(
    engine: Engine, model: ScriptedModel, n_waiting: list[int]
) -> None:
    leaving = await held(engine, model)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    model.gate.set()
    with pytest.raises(InferenceFailed):
        await engine.submit(ENCODE, [item(POISON)])
    for submitted in (engine.submit(ENCODE, [item(1)]), engine.submit(ENCODE, [item(2)])):
        n_waiting.clear()
        task = asyncio.create_task(submitted)
        await asyncio.sleep(0)  # the task's first turn, and nothing that it left for a later one
        assert n_waiting == [1]
        await task


async def test_where_several_workers_share_the_load_one_is_woken_for_each_job(
    engine: Engine, model: ScriptedModel, n_waiting: list[int]
) -> None:
    engine._queue.short_batches_on_one_worker = False
    model.gate.clear()
    tasks = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(4)]
    await until(lambda: len(n_waiting) == 4)
    model.gate.set()
    await asyncio.gather(*tasks)
