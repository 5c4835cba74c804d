"""Generation by steps: isolation of failures, progress, limits, and several workers."""

import asyncio
import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.engine import worker
from app.errors import InferenceFailed, ModelUnavailable
from models.errors import InvalidItems
from models.generation.generation_rules import GenerationRules
from models.generation.kv_cache import KeyValueCache
from models.generation.token_scores import NextTokens, TokenScores
from models.tasks import ENCODE_TEXT, GENERATE
from models.tasks.generation import Progress
from models.tasks.text import EncodeTextRequest
from tests.app.engine.faulty_gpt import LETHAL, NOT_A_NUMBER, POISONED, FaultyGpt, ids, request, start
from tests.app.engine.scripted import until
from tests.models.transformers.reference import random_text

pytestmark = pytest.mark.anyio


async def test_a_failing_step_fails_only_the_request_that_caused_it() -> None:
    engine = await start()
    expected = [await ids(engine, request(length)) for length in (3, 4, 5)]
    together = await asyncio.gather(
        *(ids(engine, request(length)) for length in (3, 4, POISONED, 5)), return_exceptions=True
    )
    assert isinstance(together.pop(2), InferenceFailed)
    assert together == expected
    assert engine.n_running == 0
    await engine.stop()


@pytest.mark.parametrize("ends", [(), (0,)], ids=["", "0 ends"])  # argmax of NaN scores is 0
@pytest.mark.parametrize("parameters", [{}, {"do_sample": True}, {"n_alternatives": 2}, {"num_beams": 2}])
async def test_nan_scores_fail_their_text_alone(
    parameters: dict[str, Any], ends: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaultyGpt, "generation_rules", GenerationRules(end_ids=ends))
    engine = await start()
    received: list[Progress] = []

    def on_progress(_: int, progress: Progress) -> bool:
        received.append(progress)
        return False

    expected = [await ids(engine, request(length)) for length in (3, 4)]
    broken = replace(request(NOT_A_NUMBER), **parameters)
    before, failure, after = await asyncio.gather(
        ids(engine, request(3)),
        engine.submit(GENERATE, [request(5), broken], on_progress),
        ids(engine, request(4)),
        return_exceptions=True,
    )
    assert [before, after] == expected
    assert isinstance(failure, InferenceFailed)
    assert [fault.pointer for fault in failure.faults] == ["/inputs/1"]
    assert "not a number" in str(failure)
    assert not any(progress.token and math.isnan(progress.token.log_prob) for progress in received)
    await until(lambda: engine.n_running == 0)
    await engine.stop()


async def test_a_request_that_kills_the_worker_fails_alone() -> None:
    engine = await start()
    expected = [await ids(engine, request(length)) for length in (3, 4)]
    together = await asyncio.gather(
        *(ids(engine, request(length)) for length in (3, LETHAL, 4)), return_exceptions=True
    )
    assert isinstance(together.pop(1), InferenceFailed)
    assert together == expected
    await engine.stop()


async def test_a_refused_request_is_reported_by_its_index() -> None:
    engine = await start()
    with pytest.raises(InvalidItems, match="max_new_tokens is 20") as refused:
        await ids(engine, request(3), request(9, 20))
    assert [problem.index for problem in refused.value.problems] == [1]
    assert await ids(engine, request(3))
    await engine.stop()


async def test_progress_is_passed_on_token_by_token_and_may_end_a_text() -> None:
    engine = await start()
    (whole,) = await ids(engine, request(3, 9))
    received: list[Progress] = []

    def on_progress(index: int, progress: Progress) -> bool:
        received.append(progress)
        return len(received) == 4

    outcome = await engine.submit(GENERATE, [request(3, 9)], on_progress)
    assert [p.token.id for p in received if p.token] == whole[:4]
    (sequence,) = outcome.results[0].sequences
    assert [token.id for token in sequence.tokens] == whole[:4]
    assert sequence.finish_reason == "stop"
    await until(lambda: engine.n_running == 0)
    await engine.stop()


async def test_progress_that_nobody_streams_is_reported_when_a_text_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await start()
    expected = await ids(engine, request(3, 4), request(4, 7))
    monkeypatch.setattr(worker, "REPORT_EVERY_S", 60.0)
    handle, counts = engine._handle_steps, []

    def count(report: worker.StepReport) -> None:
        counts.append(len(report.progress))
        handle(report)

    monkeypatch.setattr(engine.workers[0], "_on_steps", count)
    assert await ids(engine, request(3, 4), request(4, 7)) == expected
    assert [n for n in counts if n] == [8, 3]
    counts.clear()
    await engine.submit(GENERATE, [request(3, 4), request(4, 7)], lambda *_: False)
    assert [n for n in counts if n] == [2, 2, 2, 2, 1, 1, 1]
    await engine.stop()


async def test_a_failing_progress_callback_fails_its_own_request_alone() -> None:
    engine = await start()
    (expected,) = await ids(engine, request(4))

    def fail(index: int, progress: Progress) -> bool:
        raise ValueError("the callback's own error")

    failure, other = await asyncio.gather(
        engine.submit(GENERATE, [request(3)], fail), ids(engine, request(4)), return_exceptions=True
    )
    assert isinstance(failure, InferenceFailed)
    assert other == [expected]
    await until(lambda: engine.n_running == 0)
    await engine.stop()


async def test_cancelled_callers_free_their_rows() -> None:
    engine = await start(max_running_sequences=2)
    gone = [asyncio.ensure_future(ids(engine, request(2, 20, 2))) for _ in range(30)]
    await until(lambda: engine.n_running == 2)
    for work in gone:
        work.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    assert len((await ids(engine, request(3)))[0]) == 6
    assert engine.n_queued == 0
    await engine.stop()


async def test_stopping_finishes_running_sequences_and_refuses_new_requests() -> None:
    engine = await start()
    work = [asyncio.ensure_future(ids(engine, request(3, 15))) for _ in range(5)]
    await asyncio.sleep(0)
    await engine.stop()
    assert [len(tokens) for (tokens,) in await asyncio.gather(*work)] == [15] * 5
    with pytest.raises(ModelUnavailable):
        await ids(engine, request(3))


def watch_steps(monkeypatch: pytest.MonkeyPatch, look: Callable[[int], None]) -> None:
    """Call `look` at each step, on the worker's thread, with the number of rows."""
    decode = FaultyGpt.decode

    def watched(model: FaultyGpt, tokens: NextTokens, cache: KeyValueCache) -> TokenScores:
        look(len(tokens.ids))
        return decode(model, tokens, cache)

    monkeypatch.setattr(FaultyGpt, "decode", watched)


@pytest.mark.parametrize("on_kernels", [False, True])
async def test_sequences_are_spread_unless_kernels_share_the_cores(
    on_kernels: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FaultyGpt, "runs_on_kernels", on_kernels)
    engine = await start(n_workers=2)
    expected = [await ids(engine, request(length, 14)) for length in range(2, 10)]
    most: Counter[int] = Counter()  # rows, by thread
    meeting = threading.Barrier(1 if on_kernels else 2)

    def look(n: int) -> None:
        if threading.get_ident() not in most:
            meeting.wait(20)  # or one thread could be done before the other wakes
        most[threading.get_ident()] = max(n, most[threading.get_ident()])

    watch_steps(monkeypatch, look)
    assert await asyncio.gather(*(ids(engine, request(length, 14)) for length in range(2, 10))) == expected
    assert [*most.values()] == [8] if on_kernels else len(most) == 2 and max(most.values()) <= 5, most
    assert engine.n_running == 0
    await engine.stop()


async def test_while_one_worker_generates_another_serves_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyGpt, "runs_on_kernels", True)
    waits = threading.Event()
    waits.set()
    read = FaultyGpt.prefill
    monkeypatch.setattr(FaultyGpt, "prefill", lambda *given: waits.wait(20) and read(*given))
    engine = await start(n_workers=2)
    waits.clear()
    text = asyncio.create_task(ids(engine, request(3)))
    await until(lambda: engine.n_running == 1)
    await engine.submit(ENCODE_TEXT, [EncodeTextRequest(tokens=random_text(5, 60, 0))])
    assert not text.done()
    waits.set()
    assert len(await text) == 1
    await engine.stop()


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyGpt, "runs_on_kernels", False)


@pytest.mark.usefixtures("spread")
async def test_the_limit_of_running_sequences_holds_for_all_workers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await start(n_workers=2, max_running_sequences=4)
    seen: list[int] = []
    watch_steps(monkeypatch, lambda _: seen.append(sum(worker._worker.slot.n_rows for worker in engine.workers)))
    assert len(await asyncio.gather(*(ids(engine, request(length, 14)) for length in range(2, 10)))) == 8
    assert max(seen) == 4
    assert len(await ids(engine, request(3, n=6))) == 1  # a request that runs alone may exceed the limit
    await engine.stop()


@pytest.mark.usefixtures("spread")
async def test_a_dying_worker_does_not_disturb_the_other() -> None:
    engine = await start(n_workers=2)
    expected = [await ids(engine, request(length)) for length in (3, 4, 5, 6)]
    together = await asyncio.gather(
        *(ids(engine, request(length)) for length in (3, 4, LETHAL, 5, 6)), return_exceptions=True
    )
    assert isinstance(together.pop(2), InferenceFailed)
    assert together == expected
    await engine.stop()
