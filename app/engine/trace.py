"""What an engine tells the traces of its callers. Nothing is told, or measured, for callers without a trace."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from models.family import Model

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LayerTime:
    """When a layer was computed (`time.monotonic`), and the place of the layer around it in the list of all."""

    name: str
    parent: int | None
    started_at: float
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class TracedBatch:
    """A batch that was computed for a caller and possibly others.

    Attributes:
        cost: number of its elements or tokens.
        reason: a value of `DispatchReason`.
        started_at, finished_at: times of `time.monotonic`.
    """

    n_items: int
    cost: int
    reason: str
    started_at: float
    finished_at: float
    layers: Sequence[LayerTime]


class Trace(Protocol):
    """The trace of one caller of an engine. What it raises is logged and harms no request."""

    def batch(self, batch: TracedBatch, first: Any | None) -> Any:
        """Record a batch, on the thread that has computed it.

        Return what identifies the record. `first` is that of the first trace with the same batch; None for the first.
        """

    def answered(self, queued_at: float, started_at: float, finished_at: float, *, by_steps: bool) -> None:
        """Record the times of a job that was answered, on the event loop (`time.monotonic`)."""


def record_batch(traces: Sequence[Trace], batch: TracedBatch) -> None:
    """Record a batch in the traces of all its callers."""
    first: Any | None = None
    for trace in traces:
        with _logged():
            record = trace.batch(batch, first)
            first = record if first is None else first


def record_answer(trace: Trace, queued_at: float, started_at: float, finished_at: float, *, by_steps: bool) -> None:
    """Record the times of a job in the trace of its caller."""
    with _logged():
        trace.answered(queued_at, started_at, finished_at, by_steps=by_steps)


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception("a trace could not be recorded")


class _Recording(threading.local):
    """The layers that one thread is measuring, None while it measures none, and the places of those not yet left."""

    def __init__(self) -> None:
        self.layers: list[LayerTime] | None = None
        self.open: list[int] = []


_recording = _Recording()


def watch_layers(model: Model) -> None:
    """Make the layers of a model measurable by `recorded_layers`: stacks, their blocks, and modules beside them.

    Layers that are computed together by one kernel are not called one by one, and are not measured.
    """
    for name, layer in _layers_of(model):
        layer.register_forward_pre_hook(_enter(name))
        layer.register_forward_hook(_leave, always_call=True)


@contextmanager
def recorded_layers() -> Iterator[list[LayerTime]]:
    """Measure the layers that this thread computes, and yield the list of their times."""
    layers: list[LayerTime] = []
    _recording.layers, _recording.open = layers, []
    try:
        yield layers
    finally:
        _recording.layers = None


def layers_recorded_for(traces: Sequence[Trace]) -> AbstractContextManager[list[LayerTime]]:
    """Measure the layers that this thread computes if there is a trace to record them in."""
    return recorded_layers() if traces else nullcontext([])


def _layers_of(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules inside of a module, by their paths; modules without lists of blocks are not entered."""
    for name, child in module.named_children():
        path, is_list = f"{prefix}{name}", isinstance(child, nn.ModuleList)
        if not is_list:
            yield path, child
        if is_list or any(isinstance(each, nn.ModuleList) for each in child.modules()):
            yield from _layers_of(child, f"{path}.")


def _enter(name: str) -> Any:
    def enter(*_: object) -> None:
        if _recording.layers is not None:
            parent = _recording.open[-1] if _recording.open else None
            _recording.open.append(len(_recording.layers))
            _recording.layers.append(LayerTime(name, parent, time.monotonic()))

    return enter


def _leave(*_: object) -> None:
    if _recording.layers is not None and _recording.open:
        _recording.layers[_recording.open.pop()].finished_at = time.monotonic()
