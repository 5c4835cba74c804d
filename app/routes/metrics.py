"""The route that reports the metrics."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.http.context import context_in
from app.routes.openapi import problem_responses
from app.services import services_in

router = APIRouter(tags=["service"])

PLAIN_TEXT = "text/plain"
OPEN_METRICS = "application/openmetrics-text"
_TEXT = {"schema": {"type": "string"}}


class MetricsResponse(Response):
    """An answer whose media type is declared in the OpenAPI document."""

    media_type = PLAIN_TEXT


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Report the metrics",
    response_class=MetricsResponse,
    response_description="The metrics, in the text format of Prometheus, or of OpenMetrics if `accept` asks for it.",
    responses={200: {"content": {PLAIN_TEXT: _TEXT, OPEN_METRICS: _TEXT}}, **problem_responses(500)},
)
async def metrics(request: Request) -> Response:
    """Return counts, times and states of the server since it started."""
    services = services_in(request.scope)
    accept = context_in(request.scope).header(b"accept") or ""
    content, media_type = await services.pools.run(services.metrics.render, accept)
    return Response(content, headers={"content-type": media_type, "cache-control": "no-store"})
