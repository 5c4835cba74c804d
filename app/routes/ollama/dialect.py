"""The form of errors in the dialect of Ollama, and what its requests share."""

from datetime import UTC, datetime
from typing import Any

from app.errors import Fault, InvalidRequest
from app.http.error_answers import Dialect, Problem
from app.registry.served_model import ServedModel
from app.routes.foreign_faults import plain_message
from app.schemas.foreign.ollama import (
    OllamaBody,
    OllamaEmbedAnswer,
    OllamaEmbedBody,
    OllamaEmbeddingsAnswer,
    OllamaEmbeddingsBody,
    OllamaErrorAnswer,
    OllamaGenerateAnswer,
    OllamaGenerateBody,
    OllamaOptions,
    OllamaShowBody,
)
from app.schemas.foreign.ollama_models import OllamaModels, OllamaRunningModels, OllamaShowAnswer, OllamaVersion
from app.services import Services

LATEST = ":latest"
"""Tag that Ollama's clients add to ids without one."""
NS_PER_MS = 1_000_000


def render_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of the answer to an error. What is 422 elsewhere is 400 here."""
    status = 400 if problem.status == 422 else problem.status
    return status, {"error": plain_message(problem)}


DIALECT = Dialect(
    name="Ollama",
    description="The API of Ollama for embeddings and generation, for its clients.",
    prefixes=("/api/",),
    render_error=render_error,
    error=OllamaErrorAnswer,
    bodies=(OllamaEmbedBody, OllamaEmbeddingsBody, OllamaGenerateBody, OllamaShowBody),
    answers=(
        *(OllamaEmbedAnswer, OllamaEmbeddingsAnswer, OllamaGenerateAnswer),
        *(OllamaModels, OllamaRunningModels, OllamaShowAnswer, OllamaVersion),
    ),
)


def model_id(given: str | None) -> str:
    """Return the id of the model that a body names, without the tag `:latest`.

    Raises:
        InvalidRequest: it names none.
    """
    if not given:
        raise InvalidRequest.of([Fault("/model", "this field is required")])
    return given.removesuffix(LATEST)


def checked_options(body: OllamaBody, model: ServedModel) -> OllamaOptions:
    """Return the options of a body.

    Raises:
        InvalidRequest: the length of the context is less than the model's.
    """
    options = body.options or OllamaOptions()
    if options.num_ctx is not None and model.checkpoint is not None and model.checkpoint.modality == "text":
        (n_positions,) = model.checkpoint.item_shape
        if options.num_ctx < n_positions:
            detail = f"{options.num_ctx} is refused: the length of this model's context is {n_positions}, always"
            raise InvalidRequest.of([Fault("/options/num_ctx", detail)])
    return options


def find_model(services: Services, task: str, given: str | None) -> ServedModel:
    """Return the model that a body names for a task.

    Raises:
        InvalidRequest, UnknownModel, TaskNotServed: there is none.
    """
    return services.registry.model_for(task, model_id(given))


def timestamp(at_s: float) -> str:
    """Return a time, in seconds since 1970, as text."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
