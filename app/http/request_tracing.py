"""The middleware that traces requests; it is only there while tracing is turned on."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.context import context_in
from app.http.request_records import error_of
from app.http.route_templates import RouteTemplates
from app.inference.measurement import MEASUREMENT, Measurement
from app.keys.api_key import redact
from app.services import services_in
from app.tracing.tracing import Tracing, start_request


class RequestTracing:
    """Traces each request that is sampled, as the header `traceparent` or the sampler of OpenTelemetry decides.

    API keys are redacted, because a client may send one in its path or its request id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._templates: RouteTemplates | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        tracing = services_in(scope).tracing if scope["type"] == "http" else None
        if tracing is None:
            await self._app(scope, receive, send)
            return
        await self._trace(tracing, scope, receive, send)

    async def _trace(self, tracing: Tracing, scope: Scope, receive: Receive, send: Send) -> None:
        context, measurement = context_in(scope), MEASUREMENT.get() or Measurement()
        trace = start_request(tracing.tracer, scope["method"], redact(scope["path"]), context.headers)
        measurement.trace = trace
        try:
            await self._app(scope, receive, send)
        finally:
            if trace is not None:
                if measurement.started_at and context.received_at:
                    trace.phase("prepare", context.received_at, measurement.started_at)
                if measurement.finished_at and context.answered_at > measurement.finished_at:
                    trace.phase("render", measurement.finished_at, context.answered_at)
                if self._templates is None:
                    self._templates = RouteTemplates(scope["app"])
                route = self._templates.template_of(scope)
                attributes = {
                    "http.route": route,
                    "manifold.request_id": redact(context.request_id),
                    "manifold.model": context.model or measurement.model or "",
                    "manifold.task": context.task or measurement.task or "",
                }
                trace.end(f"{scope['method']} {route}", context.status, error_of(context), attributes)
