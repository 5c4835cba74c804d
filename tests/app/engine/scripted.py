"""A model whose forward pass waits, raises or ends the worker's thread, as a test demands."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from app.engine.engine import Engine
from app.engine.job import Job, Outcome, Slice
from app.engine.observer import EngineObserver
from app.engine.turns import ForwardTurns
from app.settings import Settings
from models.family import Model
from models.ops.cooperation import split_by_tokens
from models.tasks import DECODE, ENCODE, Request, Task
from models.tasks.autoencoding import DecodeRequest, DecodeResult, EncodeRequest, EncodeResult

POISON, LETHAL, TOO_LARGE, HANGS, IS_NAN, IS_LONG = 666.0, 667.0, 668.0, 669.0, 670.0, 671.0
N_PARTS, PART_S = 6, 0.1


class ScriptedModel(Model):
    """Encodes an item to twice its value, once the gate is open. `batches` has the values of each forward pass."""

    input_shape = (1,)
    latent_shape = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[list[float]] = []
        self.released = threading.Event()
        self.n_parts = 0
        self.parts_gate = threading.Event()
        self.parts_gate.set()
        self.healthy = True
        self.broken = False

    def run(self, task: Task, requests: Sequence[Any]) -> Sequence[Any]:
        results: Sequence[Any] = getattr(self, task.name)(requests)
        return results

    def encode(self, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
        values = [request.item.item() for request in requests]
        self.batches.append(values)
        self.entered.release()
        assert self.gate.wait(30)
        if not self.healthy:
            raise SystemExit
        if LETHAL in values:
            raise SystemExit
        if HANGS in values:
            assert self.released.wait(30)
        if self.broken:
            raise ValueError("broken")
        if IS_LONG in values:
            for _ in split_by_tokens([1] * N_PARTS, 1):
                self.n_parts += 1
                assert self.parts_gate.wait(30)
                time.sleep(PART_S)
        if POISON in values:
            raise ValueError("poisoned")
        if TOO_LARGE in values and len(values) > 1:
            raise torch.OutOfMemoryError("too large")
        return [
            EncodeResult(latent=request.item * (torch.nan if value == IS_NAN else 2))
            for request, value in zip(requests, values, strict=True)
        ]

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodeResult]:
        self.batches.append([request.latent.item() for request in requests])
        return [DecodeResult(reconstruction=request.latent) for request in requests]

    def example(self, task: Task) -> Request:
        if task is ENCODE:
            return EncodeRequest(item=torch.zeros(1))
        return DecodeRequest(latent=torch.zeros(1))


class Clock:
    """A clock that stands still until a test moves it; threads use no CPU time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return 0.0


def item(value: float) -> EncodeRequest:
    return EncodeRequest(item=torch.tensor([value]))


def latent(value: float) -> DecodeRequest:
    return DecodeRequest(latent=torch.tensor([value]))


def job(*requests: Request, task: Task = ENCODE, client: str = "") -> Job:
    """Make a job as the engine does, with a future that no running loop owns."""
    loop = asyncio.new_event_loop()
    try:
        return Job(task, requests, loop.create_future(), 0.0, client)
    finally:
        loop.close()


def slices(*jobs: Job) -> list[Slice]:
    """Make a slice of all requests for each job."""
    return [Slice(job, 0, len(job.requests)) for job in jobs]


async def start(
    model: ScriptedModel, *others: ScriptedModel, observer: EngineObserver | None = None, **limits: int
) -> Engine:
    """Start an engine whose workers have made their first forward passes."""
    settings = Settings(weights_dir=Path(), **limits)  # type: ignore[arg-type]
    replicas = [model, *others]
    budget = settings.max_batch_elements
    engine = Engine(
        "scripted",
        replicas,
        [ENCODE, DECODE],
        settings,
        budget=budget,
        turns=ForwardTurns.of(settings),
        observer=observer,
    )
    await engine.started()
    for replica in replicas:
        replica.batches.clear()
        while replica.entered.acquire(blocking=False):
            pass
    return engine


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Let the event loop run until the condition holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0)


def values(outcome: Outcome) -> list[float]:
    return [result.latent.item() for result in outcome.results if isinstance(result, EncodeResult)]


async def held(engine: Engine, model: ScriptedModel) -> "asyncio.Task[object]":
    """Close the gate and start a forward pass with one request, so that later requests wait."""
    model.gate.clear()
    task = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: model.entered.acquire(blocking=False))
    return task
