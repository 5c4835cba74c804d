import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from app.engine.engine import Engine
from app.engine.execution import Execution
from app.engine.supervisor import Health
from app.errors import InferenceFailed, ModelUnavailable, QueueFull
from models.family import Model
from models.tasks import ENCODE, Request, Task
from tests.app.engine.scripted import (
    IS_NAN,
    POISON,
    TOO_LARGE,
    ScriptedModel,
    held,
    item,
    start,
    until,
    values,
)

pytestmark = pytest.mark.anyio


async def test_an_idle_worker_is_dispatched_at_once_and_a_busy_one_forms_batches(
    engine: Engine, model: ScriptedModel
) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(1, 5)]
    await until(lambda: engine.n_queued == 4)
    model.gate.set()
    outcomes = await asyncio.gather(*waiting)
    await first
    assert [values(outcome) for outcome in outcomes] == [[2], [4], [6], [8]]
    assert model.batches == [[0], [1, 2, 3, 4]]
    assert {outcome.batch_size for outcome in outcomes} == {4}
    assert all(outcome.queue_ms >= 0 and outcome.inference_ms > 0 for outcome in outcomes)


async def test_a_poisoned_request_fails_alone(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(value)])) for value in (1, POISON, 3, 4)]
    await until(lambda: engine.n_queued == 4)
    model.gate.set()
    good, bad, *others = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert isinstance(bad, InferenceFailed)
    assert [fault.pointer for fault in bad.faults] == ["/inputs/0"]
    assert [values(outcome) for outcome in (good, *others)] == [[2], [6], [8]]  # type: ignore[arg-type]


async def test_an_error_in_the_second_batch_of_a_job_names_the_index_in_the_job(model: ScriptedModel) -> None:
    engine = await start(model, max_batch_elements=2)
    with pytest.raises(InferenceFailed) as caught:
        await engine.submit(ENCODE, [item(value) for value in (0, 1, 2, POISON, 4)])
    assert [fault.pointer for fault in caught.value.faults] == ["/inputs/3"]
    assert [0, 1] in model.batches
    await engine.stop()


async def test_beyond_the_limit_a_request_is_refused_with_a_time_to_retry(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(8)]
    await until(lambda: engine.n_queued == 8)
    with pytest.raises(QueueFull, match="8 items are waiting for scripted and this request has 1; the limit is 8") as e:
        await engine.submit(ENCODE, [item(9)])
    assert 1 <= e.value.retry_after_s <= 60
    model.gate.set()
    assert len(await asyncio.gather(first, *waiting)) == 9


async def test_a_cancelled_caller_frees_its_place_in_the_queue(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    leaving = asyncio.create_task(engine.submit(ENCODE, [item(1)]))
    await until(lambda: engine.n_queued == 1)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert engine.n_queued == 0
    model.gate.set()
    await first
    assert model.batches == [[0]]


async def test_stopping_serves_waiting_requests_and_refuses_new_ones(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = asyncio.create_task(engine.submit(ENCODE, [item(1)]))
    await until(lambda: engine.n_queued == 1)
    stopping = asyncio.create_task(engine.stop())
    await until(lambda: engine.health is Health.STOPPED)
    with pytest.raises(ModelUnavailable):
        await engine.submit(ENCODE, [item(2)])
    model.gate.set()
    await stopping
    assert values(await waiting) == [2]
    await first


async def test_running_out_of_memory_halves_the_budget(engine: Engine, model: ScriptedModel) -> None:
    outcome = await engine.submit(ENCODE, [item(TOO_LARGE), item(1), item(2), item(3)])
    assert values(outcome) == [2 * TOO_LARGE, 2, 4, 6]
    model.batches.clear()
    await engine.submit(ENCODE, [item(i) for i in range(4)])
    assert model.batches == [[0, 1], [2, 3]]


async def test_a_result_with_nan_fails_that_item_alone(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(value)])) for value in (1, IS_NAN, 3)]
    await until(lambda: engine.n_queued == 3)
    model.gate.set()
    first_good, bad, second_good = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert isinstance(bad, InferenceFailed)
    assert [fault.detail for fault in bad.faults] == ["the model's output for this item is not a number, or infinite"]
    assert [values(first_good), values(second_good)] == [[2], [6]]  # type: ignore[arg-type]


async def test_two_workers_run_two_batches_at_once_from_one_queue() -> None:
    models = ScriptedModel(), ScriptedModel()
    engine = await start(*models)
    for model in models:
        model.gate.clear()
    held_up = []
    for n in range(2):
        held_up.append(asyncio.create_task(engine.submit(ENCODE, [item(n)])))
        await until(lambda: sum(len(model.batches) for model in models) == len(held_up))
    waiting = asyncio.create_task(engine.submit(ENCODE, [item(2)]))
    await until(lambda: engine.n_queued == 1)
    models[1].gate.set()
    assert values(await waiting) == [4]
    assert sum(task.done() for task in held_up) == 1
    models[0].gate.set()
    assert sorted([values(await task)[0] for task in held_up]) == [0, 2]
    await engine.stop()


def all_or_nothing(task: Task, model: Model, requests: Sequence[Request]) -> Execution:
    """Execute a batch without isolation: one error fails all requests, and NaN is not detected."""
    try:
        return Execution(model.run(task, requests))
    except Exception as error:
        return Execution([None] * len(requests), dict.fromkeys(range(len(requests)), error))


@pytest.mark.parametrize(
    "promise",
    [
        test_a_poisoned_request_fails_alone,
        test_a_result_with_nan_fails_that_item_alone,
        test_running_out_of_memory_halves_the_budget,
    ],
)
async def test_an_engine_without_isolation_fails_these_tests(
    promise: Callable[[Engine, ScriptedModel], Awaitable[None]],
    engine: Engine,
    model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.engine.worker.execute", all_or_nothing)
    with pytest.raises((AssertionError, AttributeError, InferenceFailed)):
        await promise(engine, model)
