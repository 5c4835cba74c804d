"""Routes that report whether the process is alive, whether its models are ready, and its limits."""

from importlib.metadata import version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.schemas import service as schema
from app.services import services_in

router = APIRouter(tags=["service"])


@router.get(
    "/health/live",
    operation_id="get_liveness",
    summary="Tell whether the process answers",
    response_description="The process answers.",
)
async def live() -> schema.Health:
    """Return 200 as long as the process answers."""
    return schema.Health(status="alive")


@router.get(
    "/health/ready",
    operation_id="get_readiness",
    summary="Tell whether the models serve",
    response_model=schema.Health,
    response_description="Every wanted model serves, or is loaded on demand.",
    responses={503: {"model": schema.Health, "description": "A model does not serve, or the server is shutting down."}},
)
async def ready(request: Request) -> Response:
    """Return 200 while every wanted model serves; a model serves once real forward passes have succeeded.

    An idle model, which the next request for it loads again, does not make the server unready.
    """
    services = services_in(request.scope)
    health = schema.readiness(services.registry, draining=services.lifecycle.is_draining)
    return JSONResponse(health.model_dump(mode="json"), 200 if health.status == "ready" else 503)


@router.get(
    "/info",
    operation_id="get_info",
    summary="Describe the server",
    response_description="Versions, default models and limits.",
)
async def info(request: Request) -> schema.Info:
    """Return versions, the default model of each task, and every limit."""
    services = services_in(request.scope)
    return schema.info(
        services.registry, services.settings, version=version("manifold"), torch_version=version("torch")
    )
