"""How the work of a thread shares the machine with that of other threads."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

MAX_LOCK_WAIT_S = 0.1
"""Longest time in seconds that a thread waits for the launch lock before it goes on without it."""


class LaunchLock(Protocol):
    """What a thread holds while it computes: a `threading.Lock`, or a lock that several may hold at the same time."""

    def acquire(self, *, timeout: float) -> bool:
        """Wait for the lock. Return False if the thread is to go on without it."""

    def release(self) -> None:
        """Give the lock back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cooperation:
    """What the code that a thread runs should respect.

    Attributes:
        n_threads: number of threads that kernels run on; None for torch's number.
        launch_lock: the lock that the thread holds while it computes on a CPU, or launches work on a GPU.
        between_parts: called before each part of long work. An exception that it raises ends the work.
    """

    n_threads: int | None = None
    launch_lock: LaunchLock | None = None
    between_parts: Callable[[], None] | None = None


class _Current(threading.local):
    cooperation = Cooperation()


current = _Current()
"""The cooperation of the thread that reads it."""


@contextmanager
def cooperate(
    *,
    n_threads: int | None = None,
    launch_lock: LaunchLock | None = None,
    between_parts: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Let what runs inside, on this thread, respect these; what is not given stays as it is outside.

    Threads that share the launch lock of a GPU launch one batch after the other, except while one of them waits for its
    results. Otherwise the operations of a batch would be queued on the GPU behind all of another batch. A thread does
    not wait for long for the lock, in case that the one before it is stuck.
    """
    outer = current.cooperation
    current.cooperation = Cooperation(
        n_threads=outer.n_threads if n_threads is None else n_threads,
        launch_lock=outer.launch_lock if launch_lock is None else _acquired(launch_lock),
        between_parts=outer.between_parts if between_parts is None else between_parts,
    )
    try:
        yield
    finally:
        held = current.cooperation.launch_lock
        if launch_lock is None:  # the outer lock may have been given back inside, and not have been free again
            current.cooperation = outer if held is outer.launch_lock else replace(outer, launch_lock=held)
        else:
            current.cooperation = outer
            if held is not None:
                held.release()


@contextmanager
def launch_lock_released() -> Iterator[None]:
    """Give the launch lock back, if this thread holds it, and take it again afterwards."""
    cooperation = current.cooperation
    lock = cooperation.launch_lock
    if lock is None:
        yield
        return
    current.cooperation = replace(cooperation, launch_lock=None)
    lock.release()
    try:
        yield
    finally:
        current.cooperation = replace(cooperation, launch_lock=_acquired(lock))


def _acquired(lock: LaunchLock) -> LaunchLock | None:
    """Acquire a lock, and return it; None if it was not free in time."""
    is_acquired = lock.acquire(timeout=MAX_LOCK_WAIT_S)
    return lock if is_acquired else None


def begin_part() -> None:
    """Let whoever waits for the work of this thread observe it, and end it, before its next part begins."""
    between_parts = current.cooperation.between_parts
    if between_parts is not None:
        between_parts()


def split_by_tokens(lengths: Sequence[int], max_tokens: int) -> Iterator[slice]:
    """Split texts into neighbours of at most `max_tokens` tokens together; a text of more tokens is a part of its own.

    Before each part, `Cooperation.between_parts` is called, so that long work can be observed and ended.
    """
    start = n_tokens = 0
    for index, length in enumerate((*lengths, max_tokens + 1)):
        if index > start and n_tokens + length > max_tokens:
            begin_part()
            yield slice(start, index)
            start, n_tokens = index, 0
        n_tokens += length
