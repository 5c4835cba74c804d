"""The context of a request, and the two outermost middlewares: its id, and its line in the access log."""

import logging
import random
import re
import time
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.request_timer import RequestTimer
from app.services import services_in

access_log = logging.getLogger("manifold.access")

_VALID_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """One request: its id, its headers by lower-case name (the first of each), and what the access log tells of it.

    `status` is that of the answer; 0 until the answer has started.
    """

    request_id: str
    headers: dict[bytes, bytes] = field(default_factory=dict)
    status: int = 0
    timer: RequestTimer = field(init=False)
    model: str | None = None
    error: str | None = None

    def header(self, name: bytes) -> str | None:
        """Return the first header of this lower-case name, without white space around it."""
        value = self.headers.get(name)
        return None if value is None else value.strip(b" \t").decode("latin-1")


def context_of(connection: HTTPConnection) -> RequestContext:
    """Return the context of a request that passed `RequestIds`."""
    return context_in(connection.scope)


def context_in(scope: Scope) -> RequestContext:
    """Return the context in an ASGI scope that passed `RequestIds`."""
    return cast("RequestContext", scope["state"]["context"])


def request_id_from(given: bytes) -> str:
    """Return the id that the client sent if it is valid, a random one otherwise."""
    given = given.strip(b" \t")
    if given and _VALID_REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{random.getrandbits(128):032x}"


class RequestIds:
    """Gives each request a context with an id, and each answer the header `x-request-id`.

    While the server is draining, each answer closes its connection as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))
        context = RequestContext(request_id_from(headers.get(b"x-request-id", b"")), headers)
        scope.setdefault("state", {})["context"] = context

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                own = [(b"x-request-id", context.request_id.encode())]
                if services_in(scope).lifecycle.is_draining:
                    own.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, send_with_id)


class AccessLog:
    """Logs one line for each request: its id, model, status, duration and, for an error, the reason."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            log_request(context_in(scope), scope["method"], scope["path"], started_at)


def log_request(context: RequestContext, method: str, path: str, started_at: float) -> None:
    """Write the line of one request to the access log; `started_at` is a time of `time.perf_counter`."""
    if not access_log.isEnabledFor(logging.INFO):
        return
    fields: dict[str, object] = {
        "request_id": context.request_id,
        "method": method,
        "path": path,
        "status": context.status,
        "ms": round((time.perf_counter() - started_at) * 1000, 3),
    }
    if context.model is not None:
        fields["model"] = context.model
    if context.error is not None:
        fields["error"] = context.error
    access_log.info("request", extra=fields)
