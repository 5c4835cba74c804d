"""The context of a request, and the outermost middleware, which creates it."""

import math
import random
import re
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.error_answers import Dialect
from app.http.request_timer import RequestTimer, client_not_reading
from app.http.security_headers import SECURITY_HEADERS
from app.services import services_in

CLOSING = ((b"connection", b"close"),)
"""Headers of an answer after which the connection is closed."""
_VALID_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """The id, the headers and the timer of one request, and what the access log and the metrics record about it.

    Attributes:
        headers: the first header of each name, in lower case.
        status: 0 until the answer has started.
        key: name of the client's API key.
        client: whom work is done for: the name of the API key or, where there are no keys, the client's address.
        error: why the request failed.
        problem: name of the error class that it failed with.
        dialect: what errors are answered in; a route sets it if its path alone does not tell.
        received_at: when the whole body had arrived (`time.monotonic`); 0 until then.
        answered_at: when the answer started (`time.monotonic`); 0 until then.
    """

    request_id: str
    headers: dict[bytes, bytes]
    timer: RequestTimer
    status: int = 0
    model: str | None = None
    key: str | None = None
    client: str = ""
    task: str | None = None
    error: str | None = None
    problem: str | None = None
    dialect: Dialect | None = None
    received_at: float = 0.0
    answered_at: float = 0.0

    def header(self, name: bytes) -> str | None:
        """Return the first header of this lower-case name, without white space around it."""
        value = self.headers.get(name)
        return None if value is None else value.strip(b" \t").decode("latin-1")


def context_in(scope: Scope) -> RequestContext:
    """Return the context in an ASGI scope that passed `RequestContexts`."""
    context: RequestContext = scope["state"]["context"]
    return context


def request_id_from(given: bytes) -> str:
    """Return the id that the client sent if it is valid, a random one otherwise."""
    given = given.strip(b" \t")
    if given and _VALID_REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{random.getrandbits(128):032x}"


class RequestContexts:
    """Gives each request a context with an id and a timer, and each answer `x-request-id` and the security headers.

    While the server is draining, each answer closes its connection. A client that reads nothing of its answer for
    `keep_alive_s` is given up, because the unread part is kept in memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        services = services_in(scope)
        read_limit_s = services.settings.keep_alive_s
        headers = dict(reversed(scope["headers"]))
        timer = RequestTimer(receive)
        context = RequestContext(request_id_from(headers.get(b"x-request-id", b"")), headers, timer)
        scope.setdefault("state", {})["context"] = context

        async def send_in_context(message: Message) -> None:
            now = time.monotonic()
            if message["type"] == "http.response.start":
                context.status, context.answered_at = message["status"], now
                own = (b"x-request-id", context.request_id.encode())
                closing = CLOSING if services.lifecycle.is_draining else ()
                message["headers"] = [*message["headers"], own, *SECURITY_HEADERS, *closing]
            timer.end_at(now + read_limit_s, client_not_reading)
            await send(message)
            timer.end_at(math.inf, client_not_reading)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                timer.ignore_client()  # servers report a client whose answer is complete as gone

        return self._app(scope, receive, send_in_context)
