"""Routes that list, load and unload models."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request

from app.routes.model_changes import load_in_time, unload_in_time
from app.routes.model_ids import ID_DESCRIPTION, find_model
from app.routes.openapi import problem_responses, reference
from app.schemas import service as schema
from app.schemas.shared.examples import EXAMPLE_MODEL
from app.services import services_in

router = APIRouter(tags=["service"])

ModelId = Annotated[str, Path(description=ID_DESCRIPTION, examples=[EXAMPLE_MODEL])]


@router.get(
    "/models",
    operation_id="list_models",
    summary="List the models",
    response_description="The models.",
    responses=problem_responses(500),
)
async def list_models(request: Request) -> schema.ModelList:
    """Return each model's family, tasks, shapes, limits, memory, metrics and state."""
    services = services_in(request.scope)
    return schema.ModelList(
        models=[schema.card(model, services.settings) for model in services.registry.models.values()]
    )


@router.get(
    "/models/{id:path}",
    operation_id="get_model",
    summary="Describe a model",
    response_description="The model.",
    responses=problem_responses(404, 500),
)
async def get_model(id: ModelId, request: Request) -> schema.ModelCard:
    """Return one model's family, tasks, shapes, limits, memory, metrics and state."""
    services = services_in(request.scope)
    model = find_model(services.registry, id, request.method, {"load": "POST", "unload": "POST"})
    return schema.card(model, services.settings)


@router.post(
    "/models/{id:path}/load",
    operation_id="load_model",
    summary="Load a model",
    response_description="The loaded model.",
    responses=problem_responses(403, 404, 422, 500, 504),
    openapi_extra={"parameters": [reference("parameters", "x-timeout-ms")]},
)
async def load_model(id: ModelId, request: Request) -> schema.ModelCard:
    """Load a model into memory, and answer once it serves.

    If it serves already and its files have changed, the new version is loaded beside the old one and takes its place
    once it serves; requests in flight finish on the old one. If the new version cannot be loaded, the answer is 422,
    and the old one goes on serving. If no file has changed, nothing happens.

    A loading that is not done by the deadline, which is `max_timeout_ms` unless the request names another, is ended.
    """
    services = services_in(request.scope)
    return schema.card(await load_in_time(services, request, id), services.settings)


@router.post(
    "/models/{id:path}/unload",
    operation_id="unload_model",
    summary="Unload a model",
    response_description="The unloaded model.",
    responses=problem_responses(403, 404, 422, 500),
    openapi_extra={"parameters": [reference("parameters", "x-timeout-ms")]},
)
async def unload_model(id: ModelId, request: Request) -> schema.ModelCard:
    """Serve the waiting requests, then free the model's memory.

    Requests that are not answered by the deadline of this request fail with status 503.
    """
    services = services_in(request.scope)
    return schema.card(await unload_in_time(services, request, id), services.settings)
