"""The middleware that records each request: in the access log, and in the metrics."""

import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from app.concurrency.request_memory import REQUEST_MEMORY
from app.http.context import RequestContext, context_in
from app.http.route_templates import RouteTemplates
from app.inference.measurement import MEASUREMENT, Measurement
from app.services import services_in

access_log = logging.getLogger("manifold.access")

NO_ANSWER = "NoAnswer"
"""Name of the error of a request that ended before its answer started, as the server stopped."""
FIRST_ERROR_STATUS = 400
REFUSED_STATUS = (401, 403, 429, 503)
"""Status codes of refusals that say nothing about the content of a request: no key, too many requests, not ready."""


class RequestRecords:
    """Writes one line for each request to the access log, counts it once it has been answered, and times its phases.

    At the end of a request, however it ends, its memory is given back.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._templates: RouteTemplates | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.monotonic()
        stalls = services_in(scope).metrics.event_loop
        stalls.begin_request()
        measurement = Measurement()
        MEASUREMENT.set(measurement)
        context = context_in(scope)
        REQUEST_MEMORY.set(context.memory)
        try:
            await self._app(scope, receive, send)
        finally:
            stalls.end_request()
            seconds = time.monotonic() - started_at
            context.memory.close()
            log_request(
                scope["method"],
                scope["path"],
                seconds,
                request_id=context.request_id,
                status=context.status,
                model=context.model,
                key=context.key,
                error=context.error,
            )
            self._count(scope, context, measurement, seconds)

    def _count(self, scope: Scope, context: RequestContext, measurement: Measurement, seconds: float) -> None:
        if self._templates is None:
            self._templates = RouteTemplates(scope["app"])
        services = services_in(scope)
        model, task = context.model or measurement.model or "", context.task or measurement.task or ""
        if model and model not in services.registry.models:  # names that do not exist would be labels without bound
            model = ""
        requests, by_route = services.metrics.requests, (self._templates.template_of(scope), model, task)
        error = error_of(context)
        if error is not None:
            requests.failed(by_route, context.status, error)
            if context.status in REFUSED_STATUS and context.problem is not None:  # and not the answer of /health/ready
                requests.refused(model, error)
            return
        preparation_s = rendering_s = -1.0
        if measurement.started_at:
            preparation_s = measurement.started_at - context.received_at if context.received_at else -1.0
            rendering_s = context.answered_at - measurement.finished_at
        requests.answered(by_route, context.status, seconds, preparation_s, rendering_s)


def error_of(context: RequestContext) -> str | None:
    """Return the name of the error, if the request failed; `Status404` or alike where a route has rendered its own."""
    if context.problem is not None:
        return context.problem
    if context.status == 0:
        return NO_ANSWER
    return f"Status{context.status}" if context.status >= FIRST_ERROR_STATUS else None


def log_request(
    method: str,
    path: str,
    seconds: float,
    *,
    request_id: str,
    status: int,
    model: str | None = None,
    key: str | None = None,
    error: str | None = None,
) -> None:
    """Write the line of one request, which took so many seconds, to the access log."""
    if not access_log.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": request_id,
        "method": method,
        "path": path,
        "status": status,
        "ms": round(seconds * 1000, 3),
        "model": model,
        "key": key,
        "error": error,
    }
    access_log.info("request", extra={name: value for name, value in fields.items() if value is not None})
