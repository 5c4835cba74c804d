"""When workers are woken."""

import asyncio

import pytest

from app.engine.queue import JobQueue
from models.tasks import ENCODE
from tests.app.engine.scripted import ScriptedModel, item, start, until


@pytest.mark.anyio
async def test_workers_are_called_once_for_all_that_came_in_a_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel()
    engine = await start(model, max_queue_items=8, max_items=8)
    model.gate.clear()
    first = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: model.entered.acquire(blocking=False))
    n_waiting: list[int] = []
    call = JobQueue.call

    def counted(queue: JobQueue) -> bool:
        n_waiting.append(len(queue))
        return call(queue)

    monkeypatch.setattr(JobQueue, "call", counted)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(1, 5)]
    await until(lambda: bool(n_waiting))
    model.gate.set()
    await asyncio.gather(first, *waiting)
    assert n_waiting == [4]
    await engine.stop()
