"""The form of errors in the dialect of OpenAI."""

from typing import Any

from app.errors import Fault, InvalidRequest
from app.http.error_answers import Dialect, Problem
from app.routes.foreign_faults import field_name, plain_message
from app.schemas.foreign.openai import (
    OpenAICompletionsAnswer,
    OpenAICompletionsBody,
    OpenAIEmbeddingsAnswer,
    OpenAIEmbeddingsBody,
    OpenAIErrorAnswer,
    OpenAIModel,
    OpenAIModels,
)
from models.codecs.text.codec import TRUNCATE_HINT

UNSERVED = (
    *("/v1/chat/", "/v1/responses", "/v1/conversations", "/v1/moderations", "/v1/images/", "/v1/audio/"),
    *("/v1/files", "/v1/uploads", "/v1/batches", "/v1/fine_tuning/", "/v1/vector_stores", "/v1/assistants"),
    *("/v1/threads", "/v1/evals", "/v1/videos", "/v1/realtime/"),
)
"""Beginnings of paths of the API that this server does not serve; their errors have the dialect's form as well."""
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""Kinds of errors by status; the others are `invalid_request_error` below 500, and `server_error` above."""
CODES = {
    "UnknownModel": "model_not_found",
    "UnknownRoute": "unknown_url",
    "QueueFull": "rate_limit_exceeded",
    "MemoryExhausted": "rate_limit_exceeded",
    "RateLimited": "rate_limit_exceeded",
    "ModelUnavailable": "model_unavailable",
    "DeadlineExceeded": "timeout",
}
"""Codes of errors by the name of the error class."""
INVALID_KEY = "invalid_api_key"


def render_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of the answer to an error. What is 422 elsewhere is 400 here."""
    status = 400 if problem.status == 422 else problem.status
    message = plain_message(problem).replace(TRUNCATE_HINT, "")
    param = field_name(problem.faults[0]) or None if problem.faults else None
    if problem.name == "UnknownModel":
        param = "model"
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = INVALID_KEY if status == 401 else CODES.get(problem.name)
    return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}


def require_model(given: str | None, fixed: str | None = None) -> str:
    """Return the id of the model: the one that the route has fixed, else the one that the body gives.

    Raises:
        InvalidRequest: there is none.
    """
    if (name := fixed or given) is None:
        raise InvalidRequest.of([Fault("/model", "this field is required")])
    return name


DIALECT = Dialect(
    name="OpenAI",
    description="The API of OpenAI for embeddings and completions, for its clients.",
    prefixes=("/v1/embeddings", "/v1/completions", "/v1/models", *UNSERVED),
    render_error=render_error,
    error=OpenAIErrorAnswer,
    bodies=(OpenAIEmbeddingsBody, OpenAICompletionsBody),
    answers=(OpenAIEmbeddingsAnswer, OpenAICompletionsAnswer, OpenAIModel, OpenAIModels),
)
