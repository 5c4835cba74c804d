"""What the engine records in the traces of its callers."""

import asyncio
from typing import Any

import pytest
import torch
from torch import nn

from app.engine.trace import TracedBatch, layers_recorded_for, watch_layers
from models.family import Model
from models.tasks import ENCODE
from tests.app.engine.scripted import ScriptedModel, held, item, start, until, values

pytestmark = pytest.mark.anyio


class Recorder:
    """Records what it is told; each batch is identified by the recorder that was first."""

    def __init__(self) -> None:
        self.batches: list[tuple[TracedBatch, Any]] = []
        self.answers: list[tuple[float, float, float]] = []

    def batch(self, batch: TracedBatch, first: Any | None) -> Any:
        self.batches.append((batch, first))
        return self

    def answered(self, queued_at: float, started_at: float, finished_at: float, *, by_steps: bool) -> None:
        assert not by_steps
        self.answers.append((queued_at, started_at, finished_at))


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(2, 2)) for _ in range(2))
        self.norm = nn.LayerNorm(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]


class Stacked(Model):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(2, 2)
        self.stack = Stack()


async def test_callers_that_share_a_batch_have_it_in_their_traces() -> None:
    model = ScriptedModel()
    engine = await start(model)
    first = await held(engine, model)
    traces = Recorder(), Recorder()
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(1)], trace=trace)) for trace in traces]
    untraced = asyncio.create_task(engine.submit(ENCODE, [item(2)]))
    await until(lambda: engine.n_queued == 3)
    model.gate.set()
    await asyncio.gather(first, untraced, *waiting)
    ((batch, none),), ((same, before),) = (trace.batches for trace in traces)
    assert (batch, none, before) == (same, None, traces[0])
    assert (batch.n_items, batch.cost, batch.layers) == (3, 3, [])
    for trace in traces:
        ((queued_at, started_at, finished_at),) = trace.answers
        assert queued_at <= started_at <= batch.started_at <= batch.finished_at == finished_at
    await engine.stop()


class Faulty:
    """Raises whatever it is told."""

    def batch(self, batch: TracedBatch, first: Any | None) -> Any:
        raise ValueError("batch")

    def answered(self, queued_at: float, started_at: float, finished_at: float, *, by_steps: bool) -> None:
        raise ValueError("answered")


async def test_a_trace_that_raises_harms_no_request_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = await start(ScriptedModel())
    assert values(await engine.submit(ENCODE, [item(1)], trace=Faulty())) == [2]
    assert caplog.messages == ["a trace could not be recorded"] * 2
    await engine.stop()


def test_stacks_blocks_and_modules_beside_them_are_measured_for_a_trace() -> None:
    model = Stacked()
    watch_layers(model)
    with layers_recorded_for([Recorder()]) as layers:
        model.stack(model.embedding(torch.zeros(2)))
    names = {index: layer.name for index, layer in enumerate(layers)}
    nested = [(layer.name, None if layer.parent is None else names[layer.parent]) for layer in layers]
    assert nested == [
        ("embedding", None),
        ("stack", None),
        ("stack.blocks.0", "stack"),
        ("stack.blocks.1", "stack"),
        ("stack.norm", "stack"),
    ]
    assert all(layer.started_at <= layer.finished_at for layer in layers)


def test_nothing_is_measured_without_a_trace() -> None:
    model = Stacked()
    watch_layers(model)
    with layers_recorded_for([]) as layers:
        model.stack(model.embedding(torch.zeros(2)))
    assert layers == []


def test_a_layer_that_raises_does_not_disturb_the_next_measurement() -> None:
    model = Stacked()
    watch_layers(model)
    with pytest.raises(RuntimeError), layers_recorded_for([Recorder()]):
        model.stack(torch.zeros(3))
    with layers_recorded_for([Recorder()]) as layers:
        model.embedding(torch.zeros(2))
    assert [(layer.name, layer.parent) for layer in layers] == [("embedding", None)]
