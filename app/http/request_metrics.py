"""The middleware that counts requests."""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.context import RequestContext, context_in
from app.http.route_templates import RouteTemplates
from app.inference.measurement import MEASUREMENT, Measurement
from app.services import services_in

NO_ANSWER = "NoAnswer"
"""Name of the error of a request that ended before its answer started, as the server stopped."""
FIRST_ERROR_STATUS = 400
REFUSED_STATUS = (401, 403, 429, 503)
"""Status codes of refusals that say nothing about the content of a request: no key, too many requests, not ready."""


class RequestMetrics:
    """Counts each request once it has been answered, and measures its phases."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._templates: RouteTemplates | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.monotonic()
        measurement = Measurement()
        MEASUREMENT.set(measurement)
        try:
            await self._app(scope, receive, send)
        finally:
            self._count(scope, started_at, measurement)

    def _count(self, scope: Scope, started_at: float, measurement: Measurement) -> None:
        if self._templates is None:
            self._templates = RouteTemplates(scope["app"])
        context, services = context_in(scope), services_in(scope)
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
        requests.answered(by_route, context.status, time.monotonic() - started_at)
        if measurement.started_at:
            preparation_s = measurement.started_at - context.received_at if context.received_at else -1.0
            requests.computed(model, task, preparation_s, context.answered_at - measurement.finished_at)


def error_of(context: RequestContext) -> str | None:
    """Return the name of the error, if the request failed; `Status404` or alike where a route has rendered its own."""
    if context.problem is not None:
        return context.problem
    if context.status == 0:
        return NO_ANSWER
    return f"Status{context.status}" if context.status >= FIRST_ERROR_STATUS else None
