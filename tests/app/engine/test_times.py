"""The times of an outcome: they add up to what the caller waits for, however the work was spread."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine.engine import Engine
from models.generation.kv_cache import KeyValueCache
from models.generation.token_scores import NextTokens, TokenScores
from models.tasks import ENCODE, GENERATE
from tests.app.engine import faulty_gpt
from tests.app.engine.faulty_gpt import FaultyGpt, request
from tests.app.engine.scripted import Clock, ScriptedModel, held, item, start, until

pytestmark = pytest.mark.anyio


async def test_waiting_counts_as_queue_time(clock: Clock, engine: Engine, model: ScriptedModel) -> None:
    first = await held(engine, model)
    waiting = asyncio.create_task(engine.submit(ENCODE, [item(1)]))
    await until(lambda: engine.n_queued == 1)
    clock.now += 2
    model.gate.set()
    await first
    outcome = await waiting
    assert (outcome.queue_ms, outcome.inference_ms) == (2000, 0)


async def test_parallel_batches_of_a_job_count_once(clock: Clock) -> None:
    models = ScriptedModel(), ScriptedModel()
    engine = await start(*models, max_batch_elements=1)
    for model in models:
        model.gate.clear()
    submitted = asyncio.create_task(engine.submit(ENCODE, [item(0), item(1)]))
    for model in models:
        await until(lambda model=model: model.entered.acquire(blocking=False))  # type: ignore[misc]
    clock.now += 1
    for model in models:
        model.gate.set()
    outcome = await submitted
    assert (outcome.queue_ms, outcome.inference_ms) == (0, 1000)
    await engine.stop()


class SlowModel(ScriptedModel):
    """Takes a hundredth of a second for each forward pass, by the clock of the test."""

    clock: Clock

    def encode(self, requests: Any) -> Any:
        self.clock.now += 0.01
        return super().encode(requests)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), budget=st.integers(1, 4))
async def test_queue_and_inference_time_never_exceed_the_time_that_the_caller_waited(
    sizes: list[int], budget: int, clock: Clock
) -> None:
    models = SlowModel(), SlowModel()
    for model in models:
        model.clock = clock
    engine = await start(*models, max_batch_elements=budget)

    async def check(size: int) -> None:
        submitted_at = clock.now
        outcome = await engine.submit(ENCODE, [item(number) for number in range(size)])
        waited_ms = (clock.now - submitted_at) * 1000
        assert outcome.inference_ms >= 10 * (1 - 1e-9)
        assert outcome.queue_ms + outcome.inference_ms <= waited_ms + 1e-6

    await asyncio.gather(*map(check, sizes))
    await engine.stop()


@pytest.mark.parametrize("n_workers", [1, 2])
async def test_steps_of_several_workers_count_once(
    n_workers: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaultyGpt, "runs_on_kernels", False)
    decode = FaultyGpt.decode

    def slow(model: FaultyGpt, tokens: NextTokens, cache: KeyValueCache) -> TokenScores:
        clock.now += 0.01
        return decode(model, tokens, cache)

    monkeypatch.setattr(FaultyGpt, "decode", slow)
    engine = await faulty_gpt.start(n_workers)
    submitted_at = clock.now
    outcome = await engine.submit(GENERATE, [request(length, 14) for length in range(2, 8)])
    waited_ms = (clock.now - submitted_at) * 1000
    assert 0 < outcome.inference_ms <= waited_ms + 1e-6
    await engine.stop()
