"""The only map from an error to a status code, and the middleware that renders errors in the dialect of the path."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.http.context import RequestContext, context_in
from app.http.error_answers import Dialect, Problem
from app.services import services_in
from models.errors import InvalidItems, UndecodableItems
from models.errors import Problem as RefusedPart

log = logging.getLogger(__name__)

STATUS: dict[type[errors.ManifoldError], int] = {
    errors.MalformedRequest: 400,
    errors.MalformedBody: 400,
    errors.Unauthenticated: 401,
    errors.CrossSiteRequest: 403,
    errors.Forbidden: 403,
    errors.UnknownModel: 404,
    errors.NoModelCard: 404,
    errors.NotAcceptable: 406,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.InvalidRequest: 422,
    errors.TaskNotServed: 422,
    errors.QueueFull: 429,
    errors.MemoryExhausted: 429,
    errors.RateLimited: 429,
    errors.HeadTooLarge: 431,
    errors.ClientDisconnected: 499,
    errors.InferenceFailed: 500,
    errors.FitFailed: 500,
    errors.FitUnavailable: 501,
    errors.ModelUnavailable: 503,
    errors.TooManyConnections: 503,
    errors.DecoderUnavailable: 503,
    errors.DeadlineExceeded: 504,
}
"""Status codes by error class. Other classes have that of their nearest base class; a `RouteError` has its own."""

PACED = (errors.QueueFull.__name__, errors.MemoryExhausted.__name__)
"""Names of the errors whose answers wait for their turn when there are many (`RefusalPacing`)."""
DISCARD_S = 5.0
"""Longest time, in seconds, for which the rest of a refused body is read and discarded before the connection closes."""


def problem_of(error: Exception) -> Problem:
    """Describe an error to the client. Of an unexpected error, it says only that the server failed; see the log."""
    if isinstance(error, InvalidItems):
        error = refused_items(error)
    if not isinstance(error, errors.ManifoldError):
        detail = "the server failed; the request id finds the reason in its log"
        return Problem(name="InternalError", status=500, detail=detail)
    if isinstance(error, errors.RouteError):
        status = error.status
    else:
        status = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    return Problem(
        name=type(error).__name__, status=status, detail=error.detail, faults=error.faults, headers=error.headers
    )


def report_error(error: Exception, context: RequestContext) -> Problem:
    """Describe an error to the client, note its reason for the access log, and log an unexpected one in full."""
    problem = problem_of(error)
    context.error, context.problem = problem.detail, problem.name
    if problem.name == "InternalError":
        log.error("unexpected error", exc_info=error, extra={"request_id": context.request_id})
        context.error = f"unexpected {type(error).__name__}"
    return problem


def refused_items(error: InvalidItems) -> errors.ManifoldError:
    """Turn refused items into an error that points at each: `/inputs/3`, `/parameters/label`, or `/inputs` for all."""
    faults = list(dict.fromkeys(errors.Fault(_pointer(problem), problem.detail) for problem in error.problems))
    refusal = errors.InvalidRequest.of(faults)
    return errors.MalformedBody(refusal.detail, faults) if isinstance(error, UndecodableItems) else refusal


def _pointer(problem: RefusedPart) -> str:
    """Return the JSON pointer (RFC 6901) to the part of the request that is to blame."""
    if problem.parameter is not None:
        return f"/parameters/{problem.parameter}"
    return "/inputs" if problem.index is None else f"/inputs/{problem.index}"


def add_route_errors(app: FastAPI) -> None:
    """Make refusals of the framework and of routes' dependencies reach `Problems`, as all other errors do."""

    @app.exception_handler(HTTPException)
    async def raise_route_error(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:200]
        if error.status_code == 404 and error.detail == "Not Found":
            raise errors.UnknownRoute(404, f"no route is {path}", error.headers) from error
        if error.status_code == 405:
            methods = (error.headers or {}).get("Allow", "").split(", ")
            allowed = ", ".join([*methods, "HEAD"] if "GET" in methods and "HEAD" not in methods else methods)
            detail = f"{request.method} is not a method of {path}; it has {allowed}"
            raise errors.MethodNotAllowed(405, detail, {"allow": allowed}) from error
        raise errors.RouteError(error.status_code, str(error.detail), error.headers) from error

    @app.exception_handler(RequestValidationError)
    async def raise_invalid_request(request: Request, error: RequestValidationError) -> Response:
        faults = [errors.Fault("".join(f"/{part}" for part in each["loc"]), each["msg"]) for each in error.errors()]
        raise errors.InvalidRequest.of(faults) from error


class Problems:
    """Renders every error, whichever route or middleware inside this one raised it.

    It is rendered as problem details, or as the dialect does to which the path belongs. The first of the dialects that
    has a prefix of the path is taken, unless the route has set `RequestContext.dialect`.

    The request's timer runs inside this middleware, so that its errors are rendered as well.

    If the client is still sending its body, the rest is read and discarded for a bounded time. If the connection were
    closed at once, the client would see a reset in place of the answer.
    """

    def __init__(self, app: ASGIApp, dialects: Iterable[Dialect] = ()) -> None:
        self._app, self._dialects = app, tuple(dialects)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_received = False

        async def receive_and_note_end() -> Message:
            nonlocal is_received
            message = await receive()
            is_received = not message.get("more_body", False)
            return message

        context, problem = context_in(scope), None
        if not _has_body(context.headers):
            context.timer.watch_client()
        try:
            with context.timer:
                await self._app(scope, receive_and_note_end, send)
        except Exception as error:
            problem = report_error(error, context)
        finally:  # here the error is forgotten, and with it the frames that hold the request's body
            if context.large_values is not None:
                context.large_values.free_later(services_in(scope).pools)
                context.large_values = None
            context.memory.close()
        if problem is None or context.status != 0:  # the answer cannot be taken back: the server closes the connection
            return
        if problem.name in PACED:
            with suppress(errors.DeadlineExceeded), context.timer:
                await services_in(scope).refusal_pacing.wait_for_turn()
        is_sending = not is_received and _has_body(context.headers)
        dialect = context.dialect or self._dialect_of(scope["path"])
        with suppress(errors.ClientDisconnected), context.timer:
            await _send_problem(problem, dialect, context.request_id, send, receive if is_sending else None)

    def _dialect_of(self, path: str) -> Dialect | None:
        return next((dialect for dialect in self._dialects if path.startswith(dialect.prefixes)), None)


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def _send_problem(
    problem: Problem, dialect: Dialect | None, request_id: str, send: Send, receive: Receive | None
) -> None:
    """Send the answer; if there is more to receive, read and discard it before the answer ends."""
    status, headers, body = problem.status, *problem.render(request_id)
    if dialect is not None:
        status, headers, body = dialect.render(problem)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": receive is not None})
    if receive is None:
        return
    try:
        async with asyncio.timeout(DISCARD_S):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        log.info("a client was still sending a refused body when its connection was closed")
    await send({"type": "http.response.body", "body": b""})
