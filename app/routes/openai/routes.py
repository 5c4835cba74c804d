"""The routes of the dialect of OpenAI."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from app.errors import UnknownRoute
from app.http.content import EVENTS
from app.registry.served_model import ServedModel
from app.routes.foreign import describe_foreign
from app.routes.openai.completions import answer_completions
from app.routes.openai.dialect import DIALECT
from app.routes.openai.embeddings import answer_embeddings
from app.schemas.foreign.openai import (
    OpenAICompletionsAnswer,
    OpenAICompletionsBody,
    OpenAIEmbeddingsAnswer,
    OpenAIEmbeddingsBody,
    OpenAIModel,
    OpenAIModels,
)
from app.schemas.shared.examples import EXAMPLE_MODEL
from app.services import services_in

STATUSES = (400, 401, 403, 404, 413, 415, 429, 500, 503, 504)
"""Statuses of the errors of routes with a body."""
READING_STATUSES = (401, 403, 429, 500)
"""Statuses of the errors of routes without one."""
OWNER = "manifold"

router = APIRouter()

ModelId = Annotated[str, Path(description="Model id.", examples=[EXAMPLE_MODEL])]


@router.post(
    "/v1/embeddings",
    **describe_foreign(
        DIALECT,
        operation_id="openai_embeddings",
        summary="Create embeddings",
        body=OpenAIEmbeddingsBody,
        example={"model": "sentence-mini-en", "input": ["A dog runs through the grass."]},
        answer=OpenAIEmbeddingsAnswer,
        statuses=STATUSES,
    ),
)
async def create_embeddings(request: Request) -> Response:
    """Return the embedding of each text, scaled to unit length. A text that is longer than the context is refused."""
    return await answer_embeddings(request)


@router.post(
    "/v1/completions",
    **describe_foreign(
        DIALECT,
        operation_id="openai_completions",
        summary="Create completions",
        body=OpenAICompletionsBody,
        example={"model": "gpt-mini-en", "prompt": "Once upon a time", "temperature": 0},
        answer=OpenAICompletionsAnswer,
        media_types=(EVENTS,),
        statuses=STATUSES,
    ),
)
async def create_completions(request: Request) -> Response:
    """Continue each prompt by sampling, or by the likeliest tokens where the temperature is 0."""
    return await answer_completions(request)


@router.post("/v1/chat/completions", include_in_schema=False)
async def refuse_chat(request: Request) -> Response:
    """Say which route there is instead: no model here is one of dialogues."""
    detail = "no model of this server is one of dialogues, so that there is no /v1/chat/completions"
    raise UnknownRoute(404, f"{detail}; POST /v1/completions continues texts")


@router.get(
    "/v1/models",
    **describe_foreign(
        DIALECT,
        operation_id="openai_list_models",
        summary="List the models",
        answer=OpenAIModels,
        statuses=READING_STATUSES,
    ),
)
async def list_models(request: Request) -> OpenAIModels:
    """Return the id and the time of every model."""
    models = services_in(request.scope).registry.models.values()
    return OpenAIModels(object="list", data=[describe_model(model) for model in models])


@router.get(
    "/v1/models/{id:path}",
    **describe_foreign(
        DIALECT,
        operation_id="openai_get_model",
        summary="Describe a model",
        answer=OpenAIModel,
        statuses=(404, *READING_STATUSES),
    ),
)
async def get_model(id: ModelId, request: Request) -> OpenAIModel:
    """Return the id and the time of a model, and whether it serves."""
    return describe_model(services_in(request.scope).registry.get(id))


def describe_model(model: ServedModel) -> OpenAIModel:
    """Return a model in the form of this dialect."""
    modified_at = model.checkpoint.modified_at if model.checkpoint else None
    return OpenAIModel(
        id=model.name,
        object="model",
        created=int(modified_at or 0),
        owned_by=OWNER,
        name=model.name,
        ready=model.is_ready,
    )
