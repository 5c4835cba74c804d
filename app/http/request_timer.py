"""What ends a request early: its deadline, a client that hangs up, or a client that does not read its answer."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Self

from starlette.types import Receive

from app.errors import ClientDisconnected, ManifoldError

FIRST_LOOK_S = 0.1
"""Time after the whole body has arrived from which a disconnect is noticed, in seconds; most are answered by then."""


class RequestTimer:
    """Ends one request early, by cancelling its task and raising an error in place of the cancellation.

    One timer of the event loop serves every reason: the deadline, a client that does not read a part of the answer in
    time, and a client that hangs up. The last takes a task that waits for it, which costs more than all else here, so
    that it is started only for a request that is not answered `FIRST_LOOK_S` after its body has arrived.
    """

    __slots__ = (
        *("_error", "_fires_at_s", "_handle", "_is_body_received", "_limit_s", "_loop", "_make_error", "_n_cancelled"),
        *("_receive", "_task", "_watcher"),
    )

    def __init__(self, receive: Receive) -> None:
        self._receive: Receive | None = receive
        self._is_body_received = False
        self._watcher: asyncio.Task[None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at_s = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: ManifoldError | None
        self.end_at(math.inf, client_not_reading)

    def __enter__(self) -> Self:
        """Start the timer, for the running task."""
        self._task = _current_task()
        self._n_cancelled = self._task.cancelling()
        self._error = None
        self._loop = asyncio.get_running_loop()
        self._fire_by(time.monotonic() + FIRST_LOOK_S if self._is_body_received else self._limit_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Stop the timer. If it has cancelled the task, raise the reason in place of the cancellation."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._fires_at_s, self._loop = None, math.inf, None
        if self._watcher is not None:
            self._watcher.cancel()
        self._receive = None  # refers to the connection, and that to this timer: garbage collection would take longer
        error, self._error = self._error, None  # an error refers to the frames of the request, which hold its answer
        try:
            if error and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
                raise error from None
        finally:
            del error

    def end_at(self, at_s: float, make_error: Callable[[], ManifoldError]) -> None:
        """End the request at a time of `time.monotonic`, unless a later call replaces it before then."""
        self._limit_s, self._make_error = at_s, make_error
        if at_s < self._fires_at_s:
            self._fire_by(min(at_s, time.monotonic() + FIRST_LOOK_S))

    def watch_client(self) -> None:
        """End the request if the client hangs up.

        Call this once the whole body has been received; where there is none, even before the timer starts.
        """
        self._is_body_received = True
        self._fire_by(time.monotonic() + FIRST_LOOK_S)

    def ignore_client(self) -> None:
        """Stop watching the client, because the whole answer has been sent."""
        if self._watcher is not None:
            self._watcher.cancel()
        self._watcher = self._receive = None

    def _fire_by(self, at_s: float) -> None:
        """Set the loop's timer for this time, unless it is stopped or will fire earlier; it is then set again."""
        if self._loop is None or at_s >= self._fires_at_s:  # a stopped timer has no loop
            return
        if self._handle is not None:
            self._handle.cancel()
        self._fires_at_s = at_s
        self._handle = self._loop.call_later(max(0.0, at_s - time.monotonic()), self._fire)

    def _fire(self) -> None:
        self._handle, self._fires_at_s = None, math.inf
        if time.monotonic() >= self._limit_s:
            self._end(self._make_error())
            return
        if self._is_body_received and self._watcher is None and self._receive is not None:
            self._watcher = asyncio.ensure_future(self._wait_for_disconnect(self._receive))
        self._fire_by(self._limit_s)

    async def _wait_for_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
        self._end(ClientDisconnected("the client hung up while waiting"))

    def _end(self, error: ManifoldError) -> None:
        if self._error is None:
            self._error = error
            self._task.cancel()


def client_not_reading() -> ManifoldError:
    """Return the error that ends a request whose client does not read its answer."""
    return ClientDisconnected("the client did not read its answer")


def _current_task() -> "asyncio.Task[object]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can be limited in time")
    return task
