"""Routes that list, load and unload models."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request

from app.routes.openapi import problem_responses
from app.schemas import service as schema
from app.schemas.shared.examples import EXAMPLE_MODEL
from app.services import services_in

router = APIRouter(tags=["service"])

ModelId = Annotated[str, Path(description="Model id.", examples=[EXAMPLE_MODEL])]


@router.get(
    "/models",
    operation_id="list_models",
    summary="List the models",
    response_description="The models.",
    responses=problem_responses(500),
)
async def list_models(request: Request) -> schema.ModelList:
    """Return each model's family, tasks, shapes, memory, metrics and state."""
    models = services_in(request.scope).registry.models.values()
    return schema.ModelList(models=[schema.card(model) for model in models])


@router.get(
    "/models/{id}",
    operation_id="get_model",
    summary="Describe a model",
    response_description="The model.",
    responses=problem_responses(404, 500),
)
async def get_model(id: ModelId, request: Request) -> schema.ModelCard:
    """Return one model's family, tasks, shapes, memory, metrics and state."""
    return schema.card(services_in(request.scope).registry.get(id))


@router.post(
    "/models/{id}/load",
    operation_id="load_model",
    summary="Load a model",
    response_description="The loaded model.",
    responses=problem_responses(403, 404, 422, 500),
)
async def load_model(id: ModelId, request: Request) -> schema.ModelCard:
    """Load a model into memory, and answer once it serves. If it serves already, nothing changes."""
    return schema.card(await services_in(request.scope).registry.load(id))


@router.post(
    "/models/{id}/unload",
    operation_id="unload_model",
    summary="Unload a model",
    response_description="The unloaded model.",
    responses=problem_responses(403, 404, 500),
)
async def unload_model(id: ModelId, request: Request) -> schema.ModelCard:
    """Serve the waiting requests, then free the model's memory."""
    return schema.card(await services_in(request.scope).registry.unload(id))
