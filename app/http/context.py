"""Around every request: an id, its headers by name, one line in the log, no exception left unanswered."""

import logging
import random
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ManifoldError, QueueFull
from app.http.problems import refused, unexpected

log = logging.getLogger("manifold.access")

_ACCEPTABLE_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class RequestContext:
    """Pure ASGI: unlike a `BaseHTTPMiddleware` it neither copies bodies nor hides a client that hangs up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        headers = dict(reversed(scope["headers"]))
        request_id = request_id_of(headers.get(b"x-request-id", b""))
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode())]
                if scope["app"].state.draining:
                    own.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        try:
            try:
                await self._app(scope, receive, send_with_id)
            except ManifoldError as error:
                if isinstance(error, QueueFull):
                    scope["app"].state.door.watch()
                await refused(request_id, error)(scope, receive, send_with_id)
        except Exception:
            log.exception("unexpected error", extra={"request_id": request_id})
            if status == 0:
                await unexpected(request_id)(scope, receive, send_with_id)
        finally:
            log_request(request_id, scope["method"], scope["path"], status, started_at)


def request_id_of(given: bytes) -> str:
    """The client's own, or a new one."""
    if given and _ACCEPTABLE_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{random.getrandbits(128):032x}"


def log_request(request_id: str, method: str, path: str, status: int, started_at: float) -> None:
    """The one line; `started_at` is of `time.perf_counter`."""
    if not log.isEnabledFor(logging.INFO):
        return
    log.info(
        "request",
        extra={
            "request_id": request_id,
            "method": method,
            "path": path,
            "status": status,
            "ms": round((time.perf_counter() - started_at) * 1000, 3),
        },
    )
