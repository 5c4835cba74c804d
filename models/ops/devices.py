"""Values on their way to where a model lies, and back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

PATIENCE_S = 0.1


_here = threading.local()


@contextmanager
def in_turn(turn: "threading.Lock | None") -> Iterator[None]:
    """Within it, this thread alone launches what others with this lock launch as well, but while it waits for results.

    Else what makes results of one batch would be launched behind all of another batch, and wait for that. It is a
    courtesy: who has waited for `PATIENCE_S` goes ahead, should the one before be stuck.
    """
    if turn is None:
        yield
        return
    _take(turn)
    try:
        yield
    finally:
        _give()


@contextmanager
def _out_of_turn() -> Iterator[None]:
    turn = _give()
    try:
        yield
    finally:
        if turn is not None:
            _take(turn)


def _take(turn: threading.Lock) -> None:
    _here.turn = turn if turn.acquire(timeout=PATIENCE_S) else None


def _give() -> "threading.Lock | None":
    """What this thread had."""
    turn: threading.Lock | None = getattr(_here, "turn", None)
    if turn is not None:
        _here.turn = None
        turn.release()
    return turn


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Values to a device; from the CPU to a GPU through pinned memory, so that nobody waits until they are there."""
    if device.type == "cuda" and values.is_cpu:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def to_cpu(values: Tensor) -> Tensor:
    """As results are to be, float32; from a GPU through pinned memory, which is many times as fast."""
    if not values.is_cuda:
        return values.float()
    received = torch.empty(values.shape, dtype=torch.float32, pin_memory=True)
    received.copy_(values.float(), non_blocking=True)
    arrival = torch.cuda.current_stream(values.device).record_event()  # not what others launch meanwhile
    with _out_of_turn():
        arrival.synchronize()
    return received
