"""Timeouts of many tasks at once, kept by one timer of the event loop.

Each request has several timeouts, and almost none of them ever expires. A timer of the event loop for each costs more
than all the rest of a small request's bookkeeping; see docs/performance.md.
"""

import asyncio
from collections.abc import Callable
from typing import Self

TICK_S = 0.05
"""Time between two looks at the timers, in seconds; a timer fires at most this much too late."""


class CoarseTimer:
    """A callback that is called once, at a time of the event loop's clock or up to `TICK_S` later."""

    __slots__ = ("_timers", "at_s", "callback")

    def __init__(self, timers: "CoarseTimers", at_s: float, callback: Callable[[], None]) -> None:
        self._timers, self.at_s, self.callback = timers, at_s, callback

    def cancel(self) -> None:
        """Forget the callback; nothing happens if it has been called already."""
        self._timers.pending.discard(self)
        self.callback = _do_nothing  # whose owner refers to this timer: both would stay until garbage collection


def _do_nothing() -> None:
    """Take the place of the callback of a timer that was cancelled."""


class CoarseTimers:
    """The pending timers of one event loop. The loop wakes for them only while there are any."""

    def __init__(self) -> None:
        self.pending: set[CoarseTimer] = set()
        self._is_ticking = False

    def call_at(self, at_s: float, callback: Callable[[], None]) -> CoarseTimer:
        """Schedule a callback at a time of the running event loop's clock, in seconds."""
        timer = CoarseTimer(self, at_s, callback)
        self.pending.add(timer)
        if not self._is_ticking:
            self._is_ticking = True
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(TICK_S, self._tick)
        return timer

    def _tick(self) -> None:
        now_s = self._loop.time()
        for timer in [timer for timer in self.pending if timer.at_s <= now_s]:
            if timer in self.pending:  # one that fired before it may have cancelled it
                self.pending.discard(timer)
                timer.callback()
        self._is_ticking = bool(self.pending)
        if self._is_ticking:
            self._loop.call_later(TICK_S, self._tick)


class Timeout:
    """Limits the time of the block inside it, as `asyncio.timeout_at` does, by a coarse timer.

    Use as `with Timeout(timers, at_s):` in a coroutine.

    Raises:
        TimeoutError: in place of the cancellation by which the block was ended.
    """

    __slots__ = ("_at_s", "_has_expired", "_n_cancelled", "_task", "_timer", "_timers")

    def __init__(self, timers: CoarseTimers, at_s: float) -> None:
        self._timers, self._at_s = timers, at_s
        self._has_expired = False

    def __enter__(self) -> Self:
        """Start the time."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a task to cancel")
        self._task, self._n_cancelled = task, task.cancelling()
        self._timer = self._timers.call_at(self._at_s, self._expire)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Stop the time."""
        self._timer.cancel()
        if self._has_expired and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
            raise TimeoutError

    def reschedule(self, at_s: float) -> None:
        """Move the end of the time."""
        self._timer.at_s = at_s

    def _expire(self) -> None:
        self._has_expired = True
        self._task.cancel()
