"""The deadline of a request, and the middleware that gives each request its timer."""

import asyncio
import math

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InvalidRequest
from app.http.context import context_in, context_of
from app.http.request_timer import RequestTimer, client_not_reading
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


class RequestTimers:
    """Gives each request its timer, and ends those whose client reads nothing of the answer for `keep_alive_s`.

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
            timer.end_at(loop.time() + limit_s, client_not_reading)
            await send(message)
            timer.end_at(math.inf, client_not_reading)

        with RequestTimer(services.timers, receive) as timer:
            context_in(scope).timer = timer
            await self._app(scope, receive, send_in_time)
