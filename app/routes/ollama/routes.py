"""The routes of the dialect of Ollama."""

from importlib.metadata import version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.errors import UnknownRoute
from app.routes.foreign import describe_foreign, receive
from app.routes.ollama.dialect import DIALECT, model_id
from app.routes.ollama.embeddings import answer_embed, answer_embeddings
from app.routes.ollama.generation import NDJSON, answer_generate
from app.routes.ollama.models import describe_model, describe_running_model, show_model
from app.schemas.foreign.ollama import (
    OllamaEmbedAnswer,
    OllamaEmbedBody,
    OllamaEmbeddingsAnswer,
    OllamaEmbeddingsBody,
    OllamaGenerateAnswer,
    OllamaGenerateBody,
    OllamaShowBody,
)
from app.schemas.foreign.ollama_models import OllamaModels, OllamaRunningModels, OllamaShowAnswer, OllamaVersion
from app.schemas.shared.parsing import parse_body
from app.services import services_in

STATUSES = (400, 401, 403, 404, 413, 415, 429, 500, 503, 504)
"""Statuses of the errors of routes with a body."""
READING_STATUSES = (401, 403, 429, 500)
"""Statuses of the errors of routes without one."""

router = APIRouter()


@router.post(
    "/api/embed",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_embed",
        summary="Create embeddings",
        body=OllamaEmbedBody,
        example={"model": "sentence-mini-en", "input": ["A dog runs through the grass."]},
        answer=OllamaEmbedAnswer,
        statuses=STATUSES,
    ),
)
async def embed(request: Request) -> Response:
    """Return the embedding of each text, scaled to unit length. A text that is longer than the context is cut."""
    return await answer_embed(request)


@router.post(
    "/api/embeddings",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_embeddings",
        summary="Create an embedding",
        body=OllamaEmbeddingsBody,
        example={"model": "sentence-mini-en", "prompt": "A dog runs through the grass."},
        answer=OllamaEmbeddingsAnswer,
        statuses=STATUSES,
    ),
)
async def create_embedding(request: Request) -> Response:
    """Return the embedding of a text, scaled as the checkpoint says. A text longer than the context is refused."""
    return await answer_embeddings(request)


@router.post(
    "/api/generate",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_generate",
        summary="Continue a text",
        body=OllamaGenerateBody,
        example={"model": "gpt-mini-en", "prompt": "Once upon a time", "stream": False},
        answer=OllamaGenerateAnswer,
        media_types=(NDJSON,),
        statuses=STATUSES,
    ),
)
async def generate(request: Request) -> Response:
    """Continue a text by sampling, line by line unless `stream` is false."""
    return await answer_generate(request)


@router.post("/api/chat", include_in_schema=False)
async def refuse_chat(request: Request) -> Response:
    """Say which route there is instead: no model here is one of dialogues."""
    detail = "no model of this server is one of dialogues, so that there is no /api/chat"
    raise UnknownRoute(404, f"{detail}; POST /api/generate continues texts")


@router.get(
    "/api/tags",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_list_models",
        summary="List the models",
        answer=OllamaModels,
        statuses=READING_STATUSES,
    ),
)
async def list_models(request: Request) -> OllamaModels:
    """Return every model that the server knows."""
    models = services_in(request.scope).registry.models.values()
    return OllamaModels(models=[describe_model(model) for model in models])


@router.get(
    "/api/ps",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_list_running_models",
        summary="List the models in memory",
        answer=OllamaRunningModels,
        statuses=READING_STATUSES,
    ),
)
async def list_running_models(request: Request) -> OllamaRunningModels:
    """Return every model in memory."""
    services = services_in(request.scope)
    on_gpu = services.settings.device != "cpu"
    loaded = [model for model in services.registry.models.values() if model.loaded is not None]
    return OllamaRunningModels(models=[describe_running_model(model, on_gpu=on_gpu) for model in loaded])


@router.post(
    "/api/show",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_show",
        summary="Describe a model",
        body=OllamaShowBody,
        example={"model": "sentence-mini-en"},
        answer=OllamaShowAnswer,
        statuses=STATUSES,
    ),
)
async def show(request: Request) -> OllamaShowAnswer:
    """Return a model's family, size, context and capabilities."""
    foreign = await receive(request)
    body = await foreign.parse(lambda values: parse_body(OllamaShowBody, values, strict=True))
    return show_model(foreign.services.registry.get(model_id(body.model or body.name)))


@router.get(
    "/api/version",
    **describe_foreign(
        DIALECT,
        operation_id="ollama_version",
        summary="Return the version",
        answer=OllamaVersion,
        statuses=READING_STATUSES,
    ),
)
async def get_version() -> OllamaVersion:
    """Return the version of this server."""
    return OllamaVersion(version=version("manifold"))
