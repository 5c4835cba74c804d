"""The only map from an error to a status code, and its rendering as RFC 9457 problem details."""

import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app import errors

log = logging.getLogger(__name__)

STATUS: dict[type[errors.ManifoldError], int] = {
    errors.MalformedBody: 400,
    errors.UnknownModel: 404,
    errors.NotAcceptable: 406,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.InvalidRequest: 422,
    errors.TaskNotServed: 422,
    errors.QueueFull: 429,
    errors.HeadTooLarge: 431,
    errors.ClientDisconnected: 499,
    errors.InferenceFailed: 500,
    errors.ModelUnavailable: 503,
    errors.DeadlineExceeded: 504,
}

PROBLEM_JSON = "application/problem+json"


@cache
def slug(name: str) -> str:
    """`QueueFull` to `queue-full`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def problem(
    request_id: str,
    *,
    name: str,
    status: int,
    detail: str,
    faults: tuple[errors.Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An `application/problem+json` answer; `name` is an error class's."""
    content = details(request_id, name=name, status=status, detail=detail, faults=faults)
    return Response(orjson.dumps(content), status, headers=headers, media_type=PROBLEM_JSON)


def details(
    request_id: str, *, name: str, status: int, detail: str, faults: tuple[errors.Fault, ...] = ()
) -> dict[str, Any]:
    """Problem details (RFC 9457)."""
    return {
        "type": f"/errors/{slug(name)}",
        "title": slug(name).replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "errors": [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults],
        "request_id": request_id,
    }


def refused(request_id: str, error: errors.ManifoldError) -> Response:
    """The answer to an error of ours."""
    retry = {"retry-after": str(error.retry_after_s)} if isinstance(error, errors.Retryable) else None
    return problem(
        request_id,
        name=type(error).__name__,
        status=STATUS[type(error)],
        detail=error.detail,
        faults=error.faults,
        headers=retry,
    )


def add_handlers(app: FastAPI) -> None:
    """Render the errors of the router; ours are `RequestContext`'s, whichever way a request took."""

    @app.exception_handler(HTTPException)
    async def routers(request: Request, error: HTTPException) -> Response:
        names = {404: "UnknownRoute", 405: "MethodNotAllowed"}
        detail = {
            404: f"no route is {request.url.path[:200]}",
            405: f"{request.method} is not a method of {request.url.path[:200]}",
        }
        return problem(
            request.state.request_id,
            name=names.get(error.status_code, "HttpError"),
            status=error.status_code,
            detail=detail.get(error.status_code, error.detail),
            headers=error.headers,
        )


def unexpected(request_id: str) -> Response:
    """The answer to a fault of ours; the log has the rest."""
    return problem(
        request_id,
        name="InternalError",
        status=500,
        detail="the server failed; the request id finds the reason in its log",
    )
