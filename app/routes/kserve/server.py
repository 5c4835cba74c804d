"""The paths of the Open Inference Protocol for the server and for the repository of its models."""

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.errors import Fault, InvalidRequest
from app.http.content import read_body
from app.http.context import context_in
from app.http.json_body import read_json
from app.registry.served_model import ServedModel, State
from app.routes.foreign import describe_foreign
from app.routes.kserve.dialect import DIALECT
from app.routes.model_changes import load_in_time, unload_in_time
from app.schemas import service
from app.schemas.foreign import kserve as schema
from app.schemas.foreign.kserve_description import SERVER, statistics_of
from app.schemas.shared.examples import EXAMPLE_MODEL
from app.schemas.shared.parsing import BodyT, parse_body
from app.services import services_in

EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration"),
    *("model_repository", "parameters", "statistics"),
)
STATES: dict[State, schema.ModelState] = {
    State.READY: "READY",
    State.LOADING: "LOADING",
    State.UNLOADING: "UNLOADING",
}
"""The states of the protocol; all others are UNAVAILABLE."""
BODY_ERRORS = (400, 403, 413, 415, 500, 504)
"""Statuses of the errors of a route that reads a body."""

StoredModelId = Annotated[str, Path(description="Model id.", examples=[EXAMPLE_MODEL])]

router = APIRouter()


@router.get(
    "/v2",
    **describe_foreign(
        DIALECT, operation_id="kserve_server", summary="Describe the server", answer=schema.ServerMetadata
    ),
)
async def describe_server() -> schema.ServerMetadata:
    """Return the name, the version and the extensions of the server."""
    return schema.ServerMetadata(name=SERVER, version=version("manifold"), extensions=list(EXTENSIONS))


@router.get(
    "/v2/health/live",
    **describe_foreign(
        DIALECT, operation_id="kserve_live", summary="Tell whether the process answers", answer=schema.ServerLive
    ),
)
async def live() -> schema.ServerLive:
    """Return 200 as long as the process answers."""
    return schema.ServerLive(live=True)


@router.get(
    "/v2/health/ready",
    operation_id="kserve_ready",
    summary="Tell whether the models serve",
    tags=[DIALECT.name],
    response_model=schema.ServerReady,
    response_description="Every wanted model serves.",
    responses={503: {"model": schema.ServerReady, "description": "A model does not serve."}},
)
async def ready(request: Request) -> Response:
    """Return 200 while every wanted model serves, else 503."""
    services = services_in(request.scope)
    health = service.readiness(services.registry, draining=services.lifecycle.is_draining)
    is_ready = health.status == "ready"
    return JSONResponse(schema.ServerReady(ready=is_ready).model_dump(), 200 if is_ready else 503)


@router.get(
    "/v2/models/stats",
    **describe_foreign(
        DIALECT, operation_id="kserve_statistics", summary="Count inferences", answer=schema.StatisticsAnswer
    ),
)
async def statistics(request: Request) -> schema.StatisticsAnswer:
    """Return the statistics of every model that is in memory."""
    models = services_in(request.scope).registry.models.values()
    serving = [model.require() for model in models if model.state is State.READY]
    return schema.StatisticsAnswer(model_stats=[statistics_of(loaded) for loaded in serving])


@router.post(
    "/v2/repository/index",
    **describe_foreign(
        DIALECT,
        operation_id="kserve_index",
        summary="List the models",
        body=schema.IndexBody,
        example={"ready": True},
        answer=list[schema.IndexedModel],
        statuses=BODY_ERRORS,
    ),
)
async def index(request: Request) -> list[schema.IndexedModel]:
    """Return the state of every model."""
    body = await _read_optional(request, schema.IndexBody)
    models = services_in(request.scope).registry.models.values()
    return [_indexed(model) for model in models if model.state is State.READY or not body.ready]


@router.post(
    "/v2/repository/models/{model:kserve_model}/load",
    **describe_foreign(
        DIALECT,
        operation_id="kserve_load",
        summary="Load a model",
        body=schema.RepositoryBody,
        answer=schema.LoadAnswer,
        statuses=(*BODY_ERRORS, 404, 504),
    ),
)
async def load(request: Request, model: StoredModelId) -> schema.LoadAnswer:
    """Load a model into memory, and answer once it serves. If it serves already, nothing changes."""
    body = await _read_optional(request, schema.RepositoryBody)
    for name in body.parameters or {}:
        if name == "config" or name.startswith("file:"):
            detail = "a model is loaded from its own folder; no configuration and no files are taken"
            raise InvalidRequest.of([Fault(f"/parameters/{name[:100]}", detail)])
    loaded = await load_in_time(services_in(request.scope), request, model)
    return schema.LoadAnswer(name=loaded.name, load=True)


@router.post(
    "/v2/repository/models/{model:kserve_model}/unload",
    **describe_foreign(
        DIALECT,
        operation_id="kserve_unload",
        summary="Unload a model",
        body=schema.RepositoryBody,
        answer=schema.UnloadAnswer,
        statuses=(*BODY_ERRORS, 404),
    ),
)
async def unload(request: Request, model: StoredModelId) -> schema.UnloadAnswer:
    """Serve the waiting requests, then free the memory of the model. No other model depends on it."""
    await _read_optional(request, schema.RepositoryBody)
    unloaded = await unload_in_time(services_in(request.scope), request, model)
    return schema.UnloadAnswer(name=unloaded.name, unload=True)


async def _read_optional(request: Request, kind: type[BodyT]) -> BodyT:
    """Return the body of a request, which may be empty. There is no deadline for the body.

    Raises:
        PayloadTooLarge, UnsupportedMediaType, MalformedBody, InvalidRequest, ClientDisconnected: it is refused.
    """
    services = services_in(request.scope)
    data = await read_body(request, services.settings.max_body_bytes, services.pools)
    values = await read_json(data, services, context_in(request.scope)) if data else {}
    return parse_body(kind, values, strict=True)


def _indexed(model: ServedModel) -> schema.IndexedModel:
    reason = "" if model.state is State.READY else model.reason or model.state.value
    return schema.IndexedModel(
        name=model.name, version=schema.VERSION, state=STATES.get(model.state, "UNAVAILABLE"), reason=reason
    )
