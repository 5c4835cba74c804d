"""Timeouts of many tasks, all of them checked by one timer of the event loop.

Almost no timeout of a request ever expires. A timer of the event loop for each costs more than all the rest of a small
request's bookkeeping; see docs/performance.md.
"""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from typing import Self

from typing_extensions import override

TICK_S = 0.05
"""Time between two checks of the timers, in seconds; a timer fires at most this much too late."""


class CoarseTimer(ABC):
    """Fires at `at_s`, a time of `time.monotonic`, or up to `TICK_S` later, if it is pending then."""

    __slots__ = ("at_s",)

    def __init__(self, at_s: float = math.inf) -> None:
        self.at_s = at_s

    @abstractmethod
    def fire(self) -> None:
        """Do what the timer is for. It stays pending, with `at_s` infinite; the method may set `at_s` again."""


class CoarseTimers:
    """The pending timers of one event loop. The loop wakes every `TICK_S` to check them, while there are any."""

    def __init__(self) -> None:
        self._pending: set[CoarseTimer] = set()
        self._is_ticking = False

    def add(self, timer: CoarseTimer) -> None:
        """Make a timer pending. Must be called on the event loop."""
        self._pending.add(timer)
        if not self._is_ticking:
            self._is_ticking = True
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(TICK_S, self._tick)

    def discard(self, timer: CoarseTimer) -> None:
        """Forget a timer; nothing happens if it is not pending."""
        self._pending.discard(timer)

    def _tick(self) -> None:
        now_s = time.monotonic()
        for timer in [timer for timer in self._pending if timer.at_s <= now_s]:
            if timer in self._pending:  # another one that fired may have discarded it
                timer.at_s = math.inf
                timer.fire()
        self._is_ticking = bool(self._pending)
        if self._is_ticking:
            self._loop.call_later(TICK_S, self._tick)


class Timeout(CoarseTimer):
    """Limits the time of the block inside it, as `asyncio.timeout_at` does, by a coarse timer.

    Use as `with Timeout(timers, at_s):` in a coroutine.

    Raises:
        TimeoutError: in place of the cancellation by which the block was ended.
    """

    __slots__ = ("_has_expired", "_n_cancelled", "_task", "_timers")

    def __init__(self, timers: CoarseTimers, at_s: float) -> None:
        super().__init__(at_s)
        self._timers = timers
        self._has_expired = False

    def __enter__(self) -> Self:
        """Start the time."""
        self._task = current_task()
        self._n_cancelled = self._task.cancelling()
        self._timers.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Stop the time."""
        self._timers.discard(self)
        if self._has_expired and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
            raise TimeoutError

    @override
    def fire(self) -> None:
        self._has_expired = True
        self._task.cancel()


def current_task() -> "asyncio.Task[object]":
    """Return the running task.

    Raises:
        RuntimeError: no task is running.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can be limited in time")
    return task
