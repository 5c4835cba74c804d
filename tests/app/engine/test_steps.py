"""Tasks made by steps: who shares a batch with a fault, who is starved, who is told what."""

import asyncio
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.engine import worker
from app.engine.engine import Engine
from app.engine.job import Job
from app.engine.policy import StepCapacity, next_batch
from app.errors import InferenceFailed, ModelUnavailable
from app.settings import Settings
from models.errors import InvalidItems
from models.layers.search import Rules, Scores
from models.tasks import ENCODE_TEXT, GENERATE
from models.tasks import text as t
from models.transformers.gpt import FAMILY
from models.transformers.gpt.model import Gpt
from tests.app.engine.scripted import job, slices, until
from tests.models.transformers.reference import random_text

pytestmark = pytest.mark.anyio

POISONED, LETHAL, NOT_A_NUMBER = 15, 13, 11
"""Lengths of prompts: the first step after one of them raises, or ends the worker's thread; or its scores are NaN."""


class FaultyGpt(Gpt):
    """Fails at the step after it has read a prompt of certain lengths, whoever else is in it."""

    fault: BaseException | None = None

    def prefill(self, parts: Sequence[Tensor], cache: Any) -> Tensor:
        for part in parts:
            faults = {LETHAL: SystemExit(), POISONED: ValueError("poisoned")}
            self.fault = faults.get(len(part), self.fault)
        logits = super().prefill(parts, cache)
        logits[[len(part) == NOT_A_NUMBER for part in parts]] = torch.nan
        return logits

    def decode(self, token_ids: Tensor, cache: Any) -> Scores:
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault
        return super().decode(token_ids, cache)


async def start(n_workers: int = 1, **settings: int) -> Engine:
    replicas = []
    for _ in range(n_workers):
        torch.manual_seed(0)
        replicas.append(FaultyGpt(FAMILY.tiny[0]).eval().requires_grad_(False))
    its = Settings(weights_dir=Path(), **settings)  # type: ignore[arg-type]
    engine = Engine("gpt", replicas, [ENCODE_TEXT, GENERATE], its, budget=its.max_batch_tokens)
    await engine.started()
    return engine


def request(length: int, n_new: int = 6, n: int = 1) -> t.GenerateRequest:
    return t.GenerateRequest(tokens=random_text(length, 60, length), max_new_tokens=n_new, n=n)


async def ids(engine: Engine, *requests: t.GenerateRequest) -> list[list[int]]:
    outcome = await engine.submit(GENERATE, requests)
    return [[token.id for token in result.sequences[0].tokens] for result in outcome.results]


async def test_a_failing_step_fails_the_guilty_alone() -> None:
    engine = await start()
    expected = [await ids(engine, request(length)) for length in (3, 4, 5)]
    together = await asyncio.gather(
        *(ids(engine, request(length)) for length in (3, 4, POISONED, 5)), return_exceptions=True
    )
    assert isinstance(together.pop(2), InferenceFailed)
    assert together == expected
    assert engine.n_running == 0
    await engine.stop()


@pytest.mark.parametrize("ends", [(), (0,)], ids=["", "0 ends"])  # what is likeliest where nothing is a number
@pytest.mark.parametrize("parameters", [{}, {"do_sample": True}, {"n_alternatives": 2}, {"num_beams": 2}])
async def test_scores_that_are_no_numbers_fail_their_text_alone(
    parameters: dict[str, Any], ends: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaultyGpt, "rules", Rules(ends=ends))
    engine = await start()
    heard: list[t.Progress] = []

    def listen(_: int, progress: t.Progress) -> bool:
        heard.append(progress)
        return False

    expected = [await ids(engine, request(length)) for length in (3, 4)]
    broken = replace(request(NOT_A_NUMBER), **parameters)
    before, failure, after = await asyncio.gather(
        ids(engine, request(3)),
        engine.submit(GENERATE, [request(5), broken], listen),
        ids(engine, request(4)),
        return_exceptions=True,
    )
    assert [before, after] == expected
    assert isinstance(failure, InferenceFailed)
    assert [fault.pointer for fault in failure.faults] == ["/inputs/1"]
    assert "not a number" in str(failure)
    assert not any(progress.token and math.isnan(progress.token.log_prob) for progress in heard)
    await until(lambda: engine.n_running == 0)
    await engine.stop()


async def test_a_lethal_step_takes_nobody_with_it() -> None:
    engine = await start()
    expected = [await ids(engine, request(length)) for length in (3, 4)]
    together = await asyncio.gather(
        *(ids(engine, request(length)) for length in (3, LETHAL, 4)), return_exceptions=True
    )
    assert isinstance(together.pop(1), InferenceFailed)
    assert together == expected
    await engine.stop()


async def test_what_the_model_refuses_is_told_by_place() -> None:
    engine = await start()
    with pytest.raises(InvalidItems, match="max_new_tokens is 20") as refused:
        await ids(engine, request(3), request(9, 20))
    assert [problem.index for problem in refused.value.problems] == [1]
    assert await ids(engine, request(3))
    await engine.stop()


async def test_a_listener_hears_each_token_and_may_end_a_text() -> None:
    engine = await start()
    (whole,) = await ids(engine, request(3, 9))
    heard: list[t.Progress] = []

    def listen(index: int, progress: t.Progress) -> bool:
        heard.append(progress)
        return len(heard) == 4

    outcome = await engine.submit(GENERATE, [request(3, 9)], listen)
    assert [p.token.id for p in heard if p.token] == whole[:4]
    (sequence,) = outcome.results[0].sequences
    assert [token.id for token in sequence.tokens] == whole[:4]
    assert sequence.finish_reason == "stop"
    await until(lambda: engine.n_running == 0)
    await engine.stop()


async def test_what_nobody_listens_to_is_told_when_a_text_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await start()
    expected = await ids(engine, request(3, 4), request(4, 7))
    monkeypatch.setattr(worker, "REPORT_EVERY_S", 60.0)
    hear, told = engine._handle_steps, []

    def count(report: worker.StepReport) -> None:
        told.append(len(report.progress))
        hear(report)

    monkeypatch.setattr(engine.workers[0], "_on_steps", count)
    assert await ids(engine, request(3, 4), request(4, 7)) == expected
    assert [n for n in told if n] == [8, 3]
    told.clear()
    await engine.submit(GENERATE, [request(3, 4), request(4, 7)], lambda *_: False)
    assert [n for n in told if n] == [2, 2, 2, 2, 1, 1, 1]
    await engine.stop()


async def test_a_listener_that_fails_fails_alone() -> None:
    engine = await start()
    (expected,) = await ids(engine, request(4))

    def fail(index: int, progress: t.Progress) -> bool:
        raise ValueError("the listener's own fault")

    deaf, other = await asyncio.gather(
        engine.submit(GENERATE, [request(3)], fail), ids(engine, request(4)), return_exceptions=True
    )
    assert isinstance(deaf, InferenceFailed)
    assert other == [expected]
    await until(lambda: engine.n_running == 0)
    await engine.stop()


async def test_a_caller_that_leaves_frees_its_rows() -> None:
    engine = await start(max_running_sequences=2)
    gone = [asyncio.ensure_future(ids(engine, request(2, 20, 2))) for _ in range(30)]
    await until(lambda: engine.n_running == 2)
    for work in gone:
        work.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    assert len((await ids(engine, request(3)))[0]) == 6
    assert engine.n_queued == 0
    await engine.stop()


async def test_stopping_finishes_what_runs_and_refuses_what_comes() -> None:
    engine = await start()
    work = [asyncio.ensure_future(ids(engine, request(3, 15))) for _ in range(5)]
    await asyncio.sleep(0)
    await engine.stop()
    assert [len(one) for (one,) in await asyncio.gather(*work)] == [15] * 5
    with pytest.raises(ModelUnavailable):
        await ids(engine, request(3))


def watch_steps(monkeypatch: pytest.MonkeyPatch, look: Callable[[int], None]) -> None:
    """At each step, on the worker's thread, with the number of its rows."""
    decode = FaultyGpt.decode

    def watched(model: FaultyGpt, token_ids: Tensor, cache: Any) -> Scores:
        look(len(token_ids))
        return decode(model, token_ids, cache)

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
            meeting.wait(20)  # else one thread could be done before another wakes
        most[threading.get_ident()] = max(n, most[threading.get_ident()])

    watch_steps(monkeypatch, look)
    assert await asyncio.gather(*(ids(engine, request(length, 14)) for length in range(2, 10))) == expected
    assert [*most.values()] == [8] if on_kernels else len(most) == 2 and max(most.values()) <= 5, most
    assert engine.n_running == 0
    await engine.stop()


async def test_while_one_worker_makes_steps_another_serves_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyGpt, "runs_on_kernels", True)
    waits = threading.Event()
    waits.set()
    read = FaultyGpt.prefill
    monkeypatch.setattr(FaultyGpt, "prefill", lambda *given: waits.wait(20) and read(*given))
    engine = await start(n_workers=2)
    waits.clear()
    text = asyncio.create_task(ids(engine, request(3)))
    await until(lambda: engine.n_running == 1)
    await engine.submit(ENCODE_TEXT, [t.EncodeTextRequest(tokens=random_text(5, 60, 0))])
    assert not text.done()
    waits.set()
    assert len(await text) == 1
    await engine.stop()


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyGpt, "runs_on_kernels", False)


@pytest.mark.usefixtures("spread")
async def test_all_workers_together_make_no_more_at_once_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await start(n_workers=2, max_running_sequences=4)
    seen: list[int] = []
    watch_steps(monkeypatch, lambda _: seen.append(sum(worker._worker.slot.n_rows for worker in engine.workers)))
    assert len(await asyncio.gather(*(ids(engine, request(length, 14)) for length in range(2, 10)))) == 8
    assert max(seen) == 4
    assert len(await ids(engine, request(3, n=6))) == 1  # alone, it may have more
    await engine.stop()


@pytest.mark.usefixtures("spread")
async def test_a_lethal_step_in_one_worker_does_not_disturb_the_other() -> None:
    engine = await start(n_workers=2)
    expected = [await ids(engine, request(length)) for length in (3, 4, 5, 6)]
    together = await asyncio.gather(
        *(ids(engine, request(length)) for length in (3, 4, LETHAL, 5, 6)), return_exceptions=True
    )
    assert isinstance(together.pop(2), InferenceFailed)
    assert together == expected
    await engine.stop()


def generating(*rows: int) -> Job:
    return job(*(request(2, n=n) for n in rows), task=GENERATE)


def encoding() -> Job:
    return job(t.EncodeTextRequest(tokens=random_text(2, 60, 0)), task=ENCODE_TEXT)


def taken(jobs: Sequence[Job], n_rows: int, *, is_idle: bool = False) -> list[tuple[Job, int, int]]:
    batch = next_batch(slices(*jobs), 100, StepCapacity(n_free=n_rows, n_running=0 if is_idle else 1))
    return [(part.job, part.start, part.stop) for part in batch]


def test_rows_are_a_budget_too() -> None:
    one, two = generating(1, 1, 1), generating(2)
    assert taken([one, two], 2) == [(one, 0, 2)]
    assert taken([one, two], 5) == [(one, 0, 3), (two, 0, 1)]
    assert taken([two], 1) == []
    assert taken([generating(9)], 4, is_idle=True) != []


def test_what_has_no_room_does_not_keep_others_waiting() -> None:
    long, short = generating(1), encoding()
    assert taken([long, short], 0) == [(short, 0, 1)]
    assert taken([long, short], 1) == [(long, 0, 1)]


def test_a_suspect_begins_when_nothing_runs() -> None:
    suspect, other = generating(1, 1), generating(1)
    suspect.is_suspect = True
    assert taken([suspect, other], 10) == [(other, 0, 1)]
    assert taken([suspect, other], 10, is_idle=True) == [(suspect, 0, 1)]
