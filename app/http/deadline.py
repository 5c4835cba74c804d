"""The limits in time of a request: its own deadline, a client that hangs up, a client that does not read its answer."""

import asyncio
import math
from typing import Self

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.concurrency.timers import CoarseTimer, CoarseTimers, Timeout
from app.errors import ClientDisconnected, InvalidRequest
from app.http.context import context_of
from app.inference.deadline import Deadline
from app.services import services_in
from app.settings import Settings

MAX_TIMEOUT_DIGITS = 12
"""Maximum number of digits that are accepted in the header `x-timeout-ms`."""


def deadline_of(request: Request, settings: Settings) -> Deadline:
    """Return the deadline that the client asks for by the header `x-timeout-ms`, or the server's default.

    Raises:
        InvalidRequest: the header is not a whole number from 1 to the server's limit.
    """
    given = context_of(request).header(b"x-timeout-ms")
    if given is None:
        return Deadline.after(settings.default_timeout_ms)
    is_number = given.isdecimal() and given.isascii() and len(given) <= MAX_TIMEOUT_DIGITS
    if not (is_number and 1 <= int(given) <= settings.max_timeout_ms):
        limit = f"it must be a whole number from 1 to {settings.max_timeout_ms}"
        raise InvalidRequest(f"x-timeout-ms is {given[:40]!r}; {limit}")
    return Deadline.after(int(given))


class CancelOnDisconnect:
    """Cancels the block inside it once the client hangs up, and raises `ClientDisconnected` in its place.

    Watching starts with `watch`, because before that the body is still being received. The first look is taken after
    `FIRST_LOOK_S`: most requests are answered by then, and a task that waits for the disconnection costs more than all
    else that this class does.
    """

    FIRST_LOOK_S = 0.1

    def __init__(self, request: Request, timers: CoarseTimers) -> None:
        self._request, self._timers = request, timers
        self._timer: CoarseTimer | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._is_gone = False

    def __enter__(self) -> Self:
        """Note which task to cancel."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 requests are answered by tasks
        self._task, self._n_cancelled = task, task.cancelling()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Stop watching; turn the cancellation that came from here into an error."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._is_gone and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
            raise ClientDisconnected("the client hung up while waiting") from None

    def watch(self) -> None:
        """Start watching; to be called once the whole body has been received."""
        first_look_s = asyncio.get_running_loop().time() + self.FIRST_LOOK_S
        self._timer = self._timers.call_at(first_look_s, self._start_watcher)

    def _start_watcher(self) -> None:
        self._watcher = asyncio.ensure_future(self._wait_for_disconnect())

    async def _wait_for_disconnect(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
        self._is_gone = True
        self._task.cancel()


class SendTimeout:
    """Gives up answers that the client does not read: each part must be sent within `keep_alive_s` of the one before.

    The unread part of an answer is kept in memory until then.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services, loop = services_in(scope), asyncio.get_running_loop()
        limit_s = services.settings.keep_alive_s

        async def send_in_time(message: Message) -> None:
            timeout.reschedule(loop.time() + limit_s)
            await send(message)
            timeout.reschedule(math.inf)

        try:
            with Timeout(services.timers, math.inf) as timeout:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            raise ClientDisconnected(f"the client did not read its answer for {limit_s} s") from None
