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
    """Jobs that waited, whenever workers were woken."""
    found: list[int] = []
    wake = JobQueue.wake_worker

    def counted(queue: JobQueue) -> bool:
        found.append(len(queue))
        return wake(queue)

    monkeypatch.setattr(JobQueue, "wake_worker", counted)
    return found


async def test_they_are_woken_once_for_all_that_came_in_a_turn_of_the_loop(
    engine: Engine, model: ScriptedModel, n_waiting: list[int]
) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(1, 5)]
    await until(lambda: len(n_waiting) > 1)
    model.gate.set()
    await asyncio.gather(first, *waiting)
    assert n_waiting == [1, 4]


async def test_who_is_alone_is_served_at_once_whatever_became_of_those_before(
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


async def test_where_several_are_to_work_they_are_woken_for_each(
    engine: Engine, model: ScriptedModel, n_waiting: list[int]
) -> None:
    engine._queue.short_batches_on_one_worker = False
    model.gate.clear()
    tasks = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(4)]
    await until(lambda: len(n_waiting) == 4)
    model.gate.set()
    await asyncio.gather(*tasks)
