"""What an observer receives from a real engine."""

import asyncio
import threading
from collections import Counter
from functools import partial
from typing import Any

import pytest

from app.engine.engine import Engine
from app.engine.observer import EngineObserver, combine
from app.engine.supervisor import Health
from app.errors import InferenceFailed, ModelUnavailable, QueueFull
from models.errors import InvalidItems
from models.tasks import ENCODE, ENCODE_TEXT, GENERATE
from models.tasks.text import EncodeTextRequest
from tests.app.engine import faulty_gpt
from tests.app.engine.faulty_gpt import request
from tests.app.engine.scripted import LETHAL, POISON, ScriptedModel, held, item, start, until, values
from tests.models.transformers.reference import random_text

pytestmark = pytest.mark.anyio

HOOKS = [name for name in vars(EngineObserver) if not name.startswith("_")]
ON_WORKER = {"dispatched", "batch_started", "batch_finished", "tokens_generated"}


class Recorder(EngineObserver):
    """Records each call: the hook, its arguments and the thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], str]] = []
        for name in HOOKS:
            setattr(self, name, partial(self._record, name))

    def _record(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, arguments, threading.current_thread().name))

    def names(self, *, on_worker: bool = False) -> list[str]:
        return [name for name, _, _ in self.calls if (name in ON_WORKER) == on_worker]

    def arguments(self, hook: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments, _ in self.calls if name == hook]


class FaultyObserver(EngineObserver):
    """Raises in every method, after counting the call."""

    def __init__(self) -> None:
        self.n_calls: Counter[str] = Counter()
        for name in HOOKS:
            setattr(self, name, partial(self._raise, name))

    def _raise(self, name: str, *_: object) -> None:
        self.n_calls[name] += 1
        raise ValueError(f"{name} is broken")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def engine(model: ScriptedModel, recorder: Recorder) -> Any:
    engine = await start(model, observer=recorder, max_queue_items=2, max_items=2)
    yield engine
    model.gate.set()
    await engine.stop()


async def test_a_request_is_queued_started_computed_and_finished(engine: Engine, recorder: Recorder) -> None:
    outcome = await engine.submit(ENCODE, [item(1), item(2)])
    assert recorder.names() == ["queued", "started", "finished"]
    assert recorder.names(on_worker=True) == ["dispatched", "batch_started", "batch_finished"]
    who = ("scripted", "encode", 2)
    assert recorder.arguments("queued") == [who]
    assert recorder.arguments("started") == [(*who, outcome.queue_ms)]
    assert recorder.arguments("batch_started") == [(*who, 2)]
    ((*batch, seconds),) = recorder.arguments("batch_finished")
    assert (batch, seconds >= 0) == ([*who, 2], True)
    assert recorder.arguments("finished") == [(*who, outcome.queue_ms, outcome.inference_ms, 2)]


async def test_batches_are_observed_on_the_workers_thread_and_all_else_on_the_event_loop(
    engine: Engine, recorder: Recorder
) -> None:
    await engine.submit(ENCODE, [item(1)])
    loop = threading.current_thread().name
    for name, _, thread in recorder.calls:
        assert thread == ("worker-scripted" if name in ON_WORKER else loop)


async def test_batches_of_several_requests_and_requests_of_several_batches(
    model: ScriptedModel, recorder: Recorder
) -> None:
    engine = await start(model, observer=recorder, max_batch_elements=2)
    first = await held(engine, model)
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(i)])) for i in range(2)]
    await until(lambda: engine.n_queued == 2)
    model.gate.set()
    await asyncio.gather(first, *waiting)
    assert recorder.arguments("batch_started") == [("scripted", "encode", 1, 1), ("scripted", "encode", 2, 2)]
    recorder.calls.clear()
    await engine.submit(ENCODE, [item(i) for i in range(5)])
    assert Counter(recorder.names()) == {"queued": 1, "started": 1, "finished": 1}
    assert recorder.arguments("batch_started") == [("scripted", "encode", n, n) for n in (2, 2, 1)]
    await engine.stop()


async def test_a_failed_request(engine: Engine, recorder: Recorder) -> None:
    with pytest.raises(InferenceFailed) as raised:
        await engine.submit(ENCODE, [item(POISON)])
    assert recorder.names() == ["queued", "started", "failed"]
    assert recorder.arguments("failed") == [("scripted", "encode", 1, raised.value)]


async def test_a_cancelled_request_fails_and_never_starts(
    engine: Engine, model: ScriptedModel, recorder: Recorder
) -> None:
    leaving = await held(engine, model)
    leaving.cancel()
    await asyncio.wait([leaving])
    model.gate.set()
    await engine.submit(ENCODE, [item(1)])
    ((*who, error),) = recorder.arguments("failed")
    assert (who, type(error)) == (["scripted", "encode", 1], asyncio.CancelledError)
    assert recorder.names() == ["queued", "failed", "queued", "started", "finished"]


async def test_refused_requests(engine: Engine, model: ScriptedModel, recorder: Recorder) -> None:
    first = await held(engine, model)
    recorder.calls.clear()
    with pytest.raises(QueueFull):
        await engine.submit(ENCODE, [item(1), item(2), item(3)])
    model.gate.set()
    await first
    await engine.stop()
    with pytest.raises(ModelUnavailable):
        await engine.submit(ENCODE, [item(1)])
    assert recorder.arguments("refused") == [("scripted", "encode", 3), ("scripted", "encode", 1)]
    assert recorder.names() == ["refused", "started", "finished", "refused"]


async def test_each_generation_step_counts_as_a_batch_of_its_sequences(recorder: Recorder) -> None:
    engine = await faulty_gpt.start(observer=recorder)
    outcome = await engine.submit(GENERATE, [request(3, 4), request(4, 6)])
    assert recorder.names() == ["queued", "started", "finished"]
    assert recorder.arguments("started") == [("gpt", "generate", 2, outcome.queue_ms)]
    steps = [("gpt", "generate", n, n) for n in (2, 2, 2, 2, 1, 1)]
    assert recorder.arguments("batch_started") == steps
    assert [arguments[:-1] for arguments in recorder.arguments("batch_finished")] == steps
    await engine.stop()


async def test_a_batch_is_dispatched_with_its_padding_and_its_reason(recorder: Recorder) -> None:
    engine = await faulty_gpt.start(observer=recorder, max_running_sequences=2)
    await engine.submit(GENERATE, [request(3, 1), request(5, 1), request(4, 1)])
    await engine.submit(ENCODE_TEXT, [EncodeTextRequest(tokens=random_text(n, 60, n)) for n in (2, 6, 7)])
    dispatched = recorder.arguments("dispatched")
    assert [arguments[:-1] for arguments in dispatched] == [
        ("gpt", "generate", 2, 8, 2),
        ("gpt", "generate", 1, 4, 0),
        ("gpt", "encode", 3, 15, 6),
    ]
    assert [reason for *_, reason in dispatched[:2]] == ["rows-full", "worker-free"]
    await engine.stop()


async def test_the_tokens_of_each_step_are_counted_and_timed(recorder: Recorder) -> None:
    engine = await faulty_gpt.start(observer=recorder)
    outcome = await engine.submit(GENERATE, [request(3, 4), request(4, 2)])
    steps = recorder.arguments("tokens_generated")
    assert [(model, task, n_tokens) for model, task, n_tokens, _, _ in steps] == [
        ("gpt", "generate", n) for n in (2, 2, 1, 1)
    ]
    ((first_token_s,), *others) = [waits for _, _, _, waits, _ in steps]
    assert others == [[], [], []]
    assert 0 < first_token_s * 1000 < outcome.queue_ms + outcome.inference_ms
    intervals_s = [interval_s for *_, interval_s in steps]
    assert intervals_s[0] is None
    assert 0 < sum(intervals_s[1:]) * 1000 < outcome.inference_ms
    recorder.calls.clear()
    await engine.submit(GENERATE, [request(3, 2)])
    assert [interval_s is None for *_, interval_s in recorder.arguments("tokens_generated")] == [True, False]
    await engine.stop()


async def test_combined_observers_all_receive_each_event(model: ScriptedModel, recorder: Recorder) -> None:
    class Counting(EngineObserver):
        n_queued = 0

        def queued(self, model: str, task: str, n_items: int) -> None:
            self.n_queued += n_items

    counting = Counting()
    engine = await start(model, observer=combine(counting, None, recorder))
    await engine.submit(ENCODE, [item(1), item(2)])
    assert (counting.n_queued, recorder.names()) == (2, ["queued", "started", "finished"])
    await engine.stop()


async def test_a_refused_generation_has_started_and_failed(recorder: Recorder) -> None:
    engine = await faulty_gpt.start(observer=recorder)
    with pytest.raises(InvalidItems):
        await engine.submit(GENERATE, [request(9, 20)])
    assert recorder.names() == ["queued", "started", "failed"]
    await engine.stop()


async def test_a_dying_worker_ends_its_batch_and_is_restarted(engine: Engine, recorder: Recorder) -> None:
    with pytest.raises(InferenceFailed):
        await engine.submit(ENCODE, [item(LETHAL)])
    await until(lambda: engine.health is Health.READY)
    assert recorder.names(on_worker=True) == ["dispatched", "batch_started", "batch_finished"] * 2
    assert recorder.arguments("worker_restarted") == [("scripted",)] * 2
    assert recorder.names() == ["queued", "worker_restarted", "failed", "worker_restarted"]


async def test_an_observer_that_raises_harms_nothing_and_is_logged_once_a_hook(
    model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    observer = FaultyObserver()
    engine = await start(model, observer=observer)
    for number in range(3):
        assert values(await engine.submit(ENCODE, [item(number)])) == [2 * number]
    assert engine.health is Health.READY
    hooks = ("queued", "dispatched", "started", "batch_started", "batch_finished", "finished")
    assert observer.n_calls == dict.fromkeys(hooks, 3)
    logged = [str(record.exc_info and record.exc_info[1]) for record in caplog.records]
    assert sorted(logged) == sorted(f"{name} is broken" for name in observer.n_calls)
    await engine.stop()
