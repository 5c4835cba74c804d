"""What ends a request early: its deadline, a client that hangs up, or a client that does not read its answer."""

import asyncio
import math
from collections.abc import Callable
from typing import Self

from starlette.types import Receive

from app.concurrency.timers import CoarseTimers
from app.errors import ClientDisconnected, ManifoldError


class RequestTimer:
    """Ends one request early, by cancelling its task and raising an error in place of the cancellation.

    One timer serves every reason. It is set for the deadline first. Once the whole body has been received, it fires
    after `FIRST_LOOK_S` to start a task that waits for the client to hang up; most requests are answered by then, and
    such a task costs more than all else that this class does. While a part of the answer is sent, it is set for the
    client to read that part.
    """

    FIRST_LOOK_S = 0.1

    def __init__(self, timers: CoarseTimers, receive: Receive) -> None:
        self._timers, self._receive = timers, receive
        self._watcher: asyncio.Task[None] | None = None
        self._error: ManifoldError | None = None

    def __enter__(self) -> Self:
        """Note which task to cancel."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request must be answered by a task")
        self._task, self._n_cancelled = task, task.cancelling()
        self._timer = self._timers.call_at(math.inf, self._on_time)
        self._limit_s, self._make_error = math.inf, client_not_reading
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Stop the timer; turn the cancellation that came from here into its error."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._error and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
            raise self._error from None

    def end_at(self, at_s: float, make_error: Callable[[], ManifoldError]) -> None:
        """End the request at a time of the event loop's clock, unless this is called again before."""
        self._limit_s, self._make_error = at_s, make_error
        self._timer.at_s = at_s

    def watch_client(self) -> None:
        """End the request once the client hangs up; to be called when the whole body has been received."""
        first_look_s = asyncio.get_running_loop().time() + self.FIRST_LOOK_S
        self._timer.at_s = min(self._limit_s, first_look_s)

    def _on_time(self) -> None:
        if asyncio.get_running_loop().time() >= self._limit_s:
            self._end(self._make_error())
            return
        self._watcher = asyncio.ensure_future(self._wait_for_disconnect())
        self._timer = self._timers.call_at(self._limit_s, self._on_time)

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
        self._end(ClientDisconnected("the client hung up while waiting"))

    def _end(self, error: ManifoldError) -> None:
        if self._error is None:
            self._error = error
            self._task.cancel()


def client_not_reading() -> ManifoldError:
    """Return the error that ends a request whose client does not read its answer."""
    return ClientDisconnected("the client did not read its answer")
