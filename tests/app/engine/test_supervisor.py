"""Workers that die, hang or can no longer compute: what becomes of them, of their requests and of health."""

import asyncio
import threading

import pytest

from app.engine.engine import Engine
from app.engine.job import Outcome
from app.engine.supervisor import MAX_STUCK, Health
from app.errors import InferenceFailed, ModelUnavailable
from models.tasks import ENCODE
from tests.app.engine.scripted import (
    HANGS,
    IS_LONG,
    LETHAL,
    N_PARTS,
    PART_S,
    POISON,
    ScriptedModel,
    held,
    item,
    start,
    until,
    values,
)

pytestmark = pytest.mark.anyio


async def test_a_request_that_kills_workers_is_given_up_and_its_neighbours_are_served(
    engine: Engine, model: ScriptedModel
) -> None:
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(v)])) for v in (1, LETHAL, 3)]
    await until(lambda: engine.n_queued == 3)
    model.gate.set()
    await first
    before, lethal, after = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(lethal, InferenceFailed)
    assert [values(before), values(after)] == [[2], [6]]  # type: ignore[arg-type]
    await until(lambda: engine.health is Health.READY)


async def test_a_dead_worker_is_unhealthy_until_its_replacement_has_run_a_forward_pass(
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


async def test_stopping_while_the_worker_is_dead_fails_all_waiting_requests(
    engine: Engine, model: ScriptedModel
) -> None:
    first = await held(engine, model)
    model.healthy = False
    model.gate.set()
    await until(lambda: engine.health is Health.RECOVERING)
    await engine.stop()
    with pytest.raises(ModelUnavailable):
        await first


async def test_a_model_whose_first_forward_pass_fails_never_starts() -> None:
    model = ScriptedModel()
    model.healthy = False
    with pytest.raises(InferenceFailed, match="first forward pass"):
        await start(model)


async def test_a_model_whose_first_forward_pass_hangs_never_starts() -> None:
    model = ScriptedModel()
    model.gate.clear()
    with pytest.raises(InferenceFailed, match="did not end within"):
        await start(model, stuck_after_ms=100)
    model.gate.set()


async def test_an_engine_fails_to_start_if_one_worker_does() -> None:
    models = ScriptedModel(), ScriptedModel()
    models[1].healthy = False
    with pytest.raises(InferenceFailed, match="first forward pass"):
        await start(*models)


async def test_requests_of_a_hanging_forward_pass_are_tried_once_more_one_by_one(model: ScriptedModel) -> None:
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


async def recovers(engine: Engine, model: ScriptedModel, hanging: "asyncio.Task[Outcome]") -> None:
    """Open the gate; check that the worker recovers and that the request which hung is answered."""
    model.gate.set()
    await until(lambda: engine.health is Health.READY)
    assert values(await hanging) == [0]
    await engine.stop()


async def test_a_worker_is_unhealthy_while_its_replacement_is_stuck_too(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=200)
    model.gate.clear()  # its replacements will be stuck as well
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: engine.health is Health.RECOVERING)
    await asyncio.sleep(0.5)
    assert engine.health is Health.RECOVERING
    await recovers(engine, model, hanging)


async def test_the_number_of_stuck_threads_is_limited(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=40, restart_max_wait_ms=20)
    model.gate.clear()
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: len(model.batches) == MAX_STUCK + 1)
    await asyncio.sleep(0.3)
    assert len(model.batches) == MAX_STUCK + 1
    assert engine.health is Health.RECOVERING
    await recovers(engine, model, hanging)


async def test_a_long_pass_in_several_parts_does_not_count_as_stuck(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=int(1000 * (N_PARTS - 1) * PART_S))
    assert values(await engine.submit(ENCODE, [item(IS_LONG)])) == [2 * IS_LONG]
    assert (model.n_parts, engine.health, model.batches) == (N_PARTS, Health.READY, [[IS_LONG]])
    await engine.stop()


async def test_a_long_pass_ends_early_if_its_caller_is_gone(
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


async def test_an_abandoned_request_of_a_stuck_worker_is_not_run_again(model: ScriptedModel) -> None:
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


async def test_results_of_a_stuck_worker_are_dropped_once_the_engine_has_stopped(model: ScriptedModel) -> None:
    engine = await start(model, stuck_after_ms=200)
    hanging = asyncio.create_task(engine.submit(ENCODE, [item(HANGS)]))
    await until(lambda: model.entered.acquire(blocking=False))
    stuck = [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]
    hanging.cancel()
    await until(lambda: engine.health is Health.RECOVERING)
    await until(lambda: engine.health is Health.READY)
    await engine.stop()
    model.released.set()
    for thread in stuck:
        await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)  # an error in the callback of the report would fail this test


async def test_a_probe_detects_an_idle_worker_that_can_no_longer_compute(model: ScriptedModel) -> None:
    engine = await start(model, probe_every_ms=30)
    await until(lambda: len(model.batches) >= 3)
    assert engine.health is Health.READY
    model.broken = True
    await until(lambda: engine.health is Health.RECOVERING)
    model.broken = False
    await until(lambda: engine.health is Health.READY)
    await engine.stop()


async def test_the_model_is_probed_after_a_whole_batch_has_failed(engine: Engine, model: ScriptedModel) -> None:
    with pytest.raises(InferenceFailed):
        await engine.submit(ENCODE, [item(POISON)])
    assert values(await engine.submit(ENCODE, [item(1)])) == [2]
    assert engine.health is Health.READY  # only the poisoned request failed
    model.broken = True
    with pytest.raises(InferenceFailed):
        await engine.submit(ENCODE, [item(1)])
    await until(lambda: engine.health is Health.RECOVERING)
    model.broken = False
    await until(lambda: engine.health is Health.READY)


async def test_while_one_worker_is_dead_the_other_one_serves() -> None:
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
