"""The paths of the Open Inference Protocol for single models, each with and without the version."""

from collections.abc import Awaitable, Callable, Sequence
from inspect import getdoc
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.registry.loaded_model import LoadedModel
from app.registry.served_model import ServedModel
from app.routes.foreign import describe_foreign
from app.routes.kserve.dialect import DIALECT, find_model, find_version
from app.routes.kserve.inference import answer_inference
from app.routes.kserve.reading import JSON_LENGTH
from app.routes.kserve.rendering import OCTETS
from app.routes.openapi import BINARY
from app.schemas.foreign import kserve as schema
from app.schemas.foreign.kserve_description import config_of, metadata_of, statistics_of

INFER_ERRORS = (400, 403, 404, 413, 415, 429, 500, 503, 504)
"""Statuses of the errors of an inference."""

EXAMPLE = {
    "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A dog runs through the grass."]}],
    "outputs": [{"name": "embedding"}],
}
LENGTH_PARAMETER = {
    "name": JSON_LENGTH.decode(),
    "in": "header",
    "required": False,
    "description": "Number of bytes of the JSON, if raw bytes follow it.",
    "schema": {"type": "integer", "minimum": 0},
}

router = APIRouter()


async def describe(model: ServedModel, request: Request) -> Response:
    """Return the tensors that the model takes and offers, with their datatypes and shapes."""
    return await _described(model, metadata_of)


async def tell_readiness(model: ServedModel, request: Request) -> Response:
    """Return 200 while the model serves, else 503."""
    is_ready = model.is_ready
    return _json(schema.ModelReady(name=model.name, ready=is_ready), 200 if is_ready else 503)


async def configure(model: ServedModel, request: Request) -> Response:
    """Return the tensors of the model in the form of Triton's configurations."""
    return await _described(model, config_of)


async def count(model: ServedModel, request: Request) -> Response:
    """Return what the model has done since it was loaded, for all requests of all routes."""
    return _json(schema.StatisticsAnswer(model_stats=[statistics_of(model.require())]))


async def _described(model: ServedModel, describe: Callable[[LoadedModel], BaseModel]) -> Response:
    """Return a description of a model, which is loaded first if it is idle."""
    with await model.acquire() as loaded:
        return _json(describe(loaded))


def _json(content: BaseModel, status: int = 200) -> Response:
    return JSONResponse(content.model_dump(mode="json"), status)


def _add_route(
    ending: str,
    name: str,
    summary: str,
    answer: Callable[[ServedModel, Request], Awaitable[Response]],
    kind: type[BaseModel],
    *,
    method: str = "GET",
    body: type[BaseModel] | None = None,
    statuses: Sequence[int] = (404, 500, 503),
) -> None:
    """Add a route of single models under both of its paths.

    Args:
        ending: the end of the path.
        name: the end of the name of the operation.
        summary: what the route does, in the imperative.
        answer: the function that answers; the first paragraph of its docstring describes the operation.
        kind: the model of the answer in JSON.
        method: the method.
        body: the model of the body, which may have raw bytes after the JSON; the answer may then as well.
        statuses: the statuses of errors.
    """
    media_types = (OCTETS,) if body else ()
    description = (getdoc(answer) or "").partition("\n\n")[0]
    for find, version, suffix in ((find_model, "", ""), (find_version, "/versions/{version}", "_of_version")):

        async def endpoint(request: Request, model: Annotated[ServedModel, Depends(find)]) -> Response:
            return await answer(model, request)

        described: dict[str, Any] = describe_foreign(
            DIALECT,
            operation_id=f"kserve_{name}{suffix}",
            summary=f"{summary} of a version" if version else summary,
            body=body,
            example=EXAMPLE if body else None,
            answer=kind,
            media_types=media_types,
            statuses=statuses,
        )
        if kind is schema.ModelReady:
            described["responses"][503] = {"model": kind, "description": "The model does not serve."}
        if body:
            described["openapi_extra"]["requestBody"]["content"] |= {OCTETS: {"schema": BINARY}}
            described["openapi_extra"]["parameters"] = [LENGTH_PARAMETER]
        path = f"/v2/models/{{model:kserve_model}}{version}{ending}"
        router.add_api_route(path, endpoint, methods=[method], description=description, **described)


_add_route(
    "/ready", "model_ready", "Tell whether a model serves", tell_readiness, schema.ModelReady, statuses=(404, 500)
)
_add_route("/config", "model_config", "Show the configuration", configure, schema.ModelConfig)
_add_route("/stats", "model_statistics", "Count the inferences", count, schema.StatisticsAnswer)
_add_route(
    "/infer",
    "infer",
    "Run an inference",
    answer_inference,
    schema.InferAnswer,
    method="POST",
    body=schema.InferBody,
    statuses=INFER_ERRORS,
)
_add_route("", "model", "Describe a model", describe, schema.ModelMetadata)
