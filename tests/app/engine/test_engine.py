import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from app.engine.engine import Engine
from app.engine.execution import Execution
from app.engine.job import Outcome
from app.engine.supervisor import MAX_STUCK, Health
from app.errors import InferenceFailed, ModelUnavailable, QueueFull
from models.family import Model
from models.tasks import ENCODE, Request, Task
from tests.app.engine.scripted import (
    HANGS,
    IS_LONG,
    IS_NAN,
    LETHAL,
    N_PARTS,
    PART_S,
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


async def test_an_error_in_the_second_batch_of_a_job_names_the_place_in_the_job(model: ScriptedModel) -> None:
    engine = await start(model, max_batch_elements=2)
    with pytest.raises(InferenceFailed) as caught:
        await engine.submit(ENCODE, [item(value) for value in (0, 1, 2, POISON, 4)])
    assert [fault.pointer for fault in caught.value.faults] == ["/inputs/3"]
    assert [0, 1] in model.batches
    await engine.stop()


async def test_a_lethal_request_kills_the_worker_twice_and_nobody_else(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(v)])) for v in (1, LETHAL, 3)]
    await until(lambda: engine.n_queued == 3)
    model.gate.set()
    await first
    one, lethal, three = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(lethal, InferenceFailed)
    assert [values(one), values(three)] == [[2], [6]]  # type: ignore[arg-type]
    await until(lambda: engine.health is Health.READY)


async def test_health_is_red_while_the_thread_is_dead_and_green_after_a_forward_pass(
    engine: Engine, model: ScriptedModel
) -> None:
    first = await held(engine, model)
    model.healthy = False
    model.gate.set()
    await until(lambda: engine.health is Health.RECOVERING)
    await until(lambda: len(model.batches) >= 3)  # restarted more than once, and each time its warm-up died
    assert engine.health is Health.RECOVERING
    model.healthy = True
    await until(lambda: engine.health is Health.READY)
    assert values(await first) == [0]  # type: ignore[arg-type]


async def test_beyond_the_limit_a_request_is_refused_with_a_time_to_come_back(
    engine: Engine, model: ScriptedModel
) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(8)]
    await until(lambda: engine.n_queued == 8)
    with pytest.raises(QueueFull, match="8 items are waiting for scripted and this request has 1; the limit is 8") as e:
        await engine.submit(ENCODE, [item(9)])
    assert 1 <= e.value.retry_after_s <= 60
    model.gate.set()
    assert len(await asyncio.gather(first, *waiting)) == 9


async def test_a_caller_that_leaves_frees_the_place(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    leaving = asyncio.create_task(engine.submit(ENCODE, [item(1)]))
    await until(lambda: engine.n_queued == 1)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert engine.n_queued == 0
    model.gate.set()
    await first
    assert model.batches == [[0]]


async def test_stopping_serves_what_waits_and_refuses_what_comes(engine: Engine, model: ScriptedModel) -> None:
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


async def test_stopping_while_the_worker_is_dead_leaves_nobody_waiting(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    model.healthy = False
    model.gate.set()
    await until(lambda: engine.health is Health.RECOVERING)
    await engine.stop()
    with pytest.raises(ModelUnavailable):
        await first


async def test_running_out_of_memory_halves_the_budget(engine: Engine, model: ScriptedModel) -> None:
    outcome = await engine.submit(ENCODE, [item(TOO_LARGE), item(1), item(2), item(3)])
    assert values(outcome) == [2 * TOO_LARGE, 2, 4, 6]
    model.batches.clear()
    await engine.submit(ENCODE, [item(i) for i in range(4)])
    assert model.batches == [[0, 1], [2, 3]]


async def test_a_model_whose_first_forward_pass_fails_never_starts() -> None:
    model = ScriptedModel()
    model.healthy = False
    with pytest.raises(InferenceFailed, match="first forward pass"):
        await start(model)


async def test_what_is_not_a_number_is_an_error_of_that_item_alone(engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(value)])) for value in (1, IS_NAN, 3)]
    await until(lambda: engine.n_queued == 3)
    model.gate.set()
    one, bad, three = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert isinstance(bad, InferenceFailed)
    assert [fault.detail for fault in bad.faults] == ["the model's output for this item is not a number"]
    assert [values(one), values(three)] == [[2], [6]]  # type: ignore[arg-type]


async def test_a_forward_pass_that_hangs_is_left_behind_and_tried_once_more_alone(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=200)
    model.gate.clear()
    first = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: model.entered.acquire(blocking=False))
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(HANGS)]))
    beside = asyncio.create_task(engine.submit(ENCODE, [item(1)]))
    await until(lambda: engine.n_queued == 2)
    model.gate.set()
    assert values(await first) == [0]
    assert values(await beside) == [2]  # its batch hung, with no fault of its own
    with pytest.raises(InferenceFailed, match="twice"):
        await hanging
    assert model.batches.count([HANGS]) == 1
    await until(lambda: engine.health is Health.READY)
    assert values(await engine.submit(ENCODE, [item(2)])) == [4]
    model.released.set()
    await engine.stop()


async def goes_on(engine: Engine, model: ScriptedModel, hanging: "asyncio.Task[Outcome]") -> None:
    """Once the gate is open, a worker is ready and the request that hung is answered."""
    model.gate.set()
    await until(lambda: engine.health is Health.READY)
    assert values(await hanging) == [0]
    await engine.stop()


async def test_health_is_red_while_a_stuck_worker_is_replaced(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=200)
    model.gate.clear()  # whoever replaces it is stuck as well
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: engine.health is Health.RECOVERING)
    await asyncio.sleep(0.5)
    assert engine.health is Health.RECOVERING
    await goes_on(engine, model, hanging)


async def test_only_so_many_threads_are_stuck_at_once(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=40, restart_max_wait_ms=20)
    model.gate.clear()
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: len(model.batches) == MAX_STUCK + 1)
    await asyncio.sleep(0.3)
    assert len(model.batches) == MAX_STUCK + 1
    assert engine.health is Health.RECOVERING
    await goes_on(engine, model, hanging)


async def test_who_goes_on_part_by_part_is_not_stuck(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=int(1000 * (N_PARTS - 1) * PART_S))
    assert values(await engine.submit(ENCODE, [item(IS_LONG)])) == [2 * IS_LONG]
    assert (model.n_parts, engine.health, model.batches) == (N_PARTS, Health.READY, [[IS_LONG]])
    await engine.stop()


async def test_the_parts_that_nobody_waits_for_are_left_undone(
    model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await start(model)
    model.parts_gate.clear()
    leaving = asyncio.create_task(engine.submit(ENCODE, [item(IS_LONG)]))
    await until(lambda: model.n_parts > 0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    model.parts_gate.set()
    assert values(await engine.submit(ENCODE, [item(1)])) == [2]
    assert model.n_parts == 1
    assert (engine.health, caplog.records) == (Health.READY, [])
    await engine.stop()


async def test_stopping_does_not_wait_for_a_stuck_worker(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=200)
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(HANGS)]))
    await until(lambda: model.entered.acquire(blocking=False))
    await asyncio.wait_for(engine.stop(), 10)
    with pytest.raises(ModelUnavailable):
        await hanging
    model.released.set()


async def test_a_caller_that_left_a_stuck_worker_is_not_served_again(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=200)
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(HANGS)]))
    await until(lambda: model.entered.acquire(blocking=False))
    hanging.cancel()
    await until(lambda: engine.health is Health.RECOVERING)
    await until(lambda: engine.health is Health.READY)
    assert values(await engine.submit(ENCODE, [item(1)])) == [2]
    assert model.batches.count([HANGS]) == 1
    model.released.set()
    await engine.stop()


async def test_an_idle_worker_that_can_do_nothing_any_more_is_found_out(model: ScriptedModel) -> None:
    engine = await start(model, probe_every_ms=30)
    await until(lambda: len(model.batches) >= 3)
    assert engine.health is Health.READY
    model.broken = True
    await until(lambda: engine.health is Health.RECOVERING)
    model.broken = False
    await until(lambda: engine.health is Health.READY)
    await engine.stop()


async def test_when_all_of_a_batch_fails_the_model_is_looked_at(engine: Engine, model: ScriptedModel) -> None:
    with pytest.raises(InferenceFailed):
        await engine.submit(ENCODE, [item(POISON)])
    assert values(await engine.submit(ENCODE, [item(1)])) == [2]
    assert engine.health is Health.READY  # the guilty one alone could not be served
    model.broken = True
    with pytest.raises(InferenceFailed):
        await engine.submit(ENCODE, [item(1)])
    await until(lambda: engine.health is Health.RECOVERING)
    model.broken = False
    await until(lambda: engine.health is Health.READY)


async def test_a_model_whose_first_forward_pass_hangs_never_starts() -> None:
    model = ScriptedModel()
    model.gate.clear()
    with pytest.raises(InferenceFailed, match="did not end within"):
        await start(model, stuck_after_ms=100)
    model.gate.set()


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


async def test_while_one_worker_is_dead_the_other_one_serves_and_health_says_so() -> None:
    models = ScriptedModel(), ScriptedModel()
    engine = await start(*models, probe_every_ms=30)
    models[0].broken = True
    await until(lambda: engine.health is Health.RECOVERING)
    outcomes = await asyncio.gather(*(engine.submit(ENCODE, [item(i)]) for i in range(8)))
    assert [values(outcome) for outcome in outcomes] == [[2 * i] for i in range(8)]
    assert engine.health is Health.RECOVERING
    models[0].broken = False
    await until(lambda: engine.health is Health.READY)
    await engine.stop()


async def test_an_engine_one_of_whose_workers_never_starts_is_none() -> None:
    models = ScriptedModel(), ScriptedModel()
    models[1].healthy = False
    with pytest.raises(InferenceFailed, match="first forward pass"):
        await start(*models)


def all_or_nothing(task: Task, model: Model, requests: Sequence[Request]) -> Execution:
    """What the engine is not to be: one fault fails the batch, and NaN goes through."""
    try:
        return Execution(task.run(model, requests))
    except Exception as error:
        return Execution([None] * len(requests), dict.fromkeys(range(len(requests)), error))


@pytest.mark.parametrize(
    "promise",
    [
        test_a_poisoned_request_fails_alone,
        test_what_is_not_a_number_is_an_error_of_that_item_alone,
        test_running_out_of_memory_halves_the_budget,
    ],
)
async def test_an_engine_that_breaks_its_promises_fails_these_tests(
    promise: Callable[[Engine, ScriptedModel], Awaitable[None]],
    engine: Engine,
    model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.engine.worker.execute", all_or_nothing)
    with pytest.raises((AssertionError, AttributeError, InferenceFailed)):
        await promise(engine, model)
