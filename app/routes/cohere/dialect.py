"""The form of errors in the dialect of Cohere."""

from typing import Any

from app.http.error_answers import Dialect, Problem
from app.routes.foreign_faults import plain_message
from app.schemas.foreign.cohere import (
    CohereEmbedAnswer,
    CohereEmbedBody,
    CohereErrorAnswer,
    CohereRerankAnswer,
    CohereRerankBody,
)
from models.codecs.text.codec import TRUNCATE_HINT


def render_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of the answer to an error. What is 422 elsewhere is 400 here."""
    status = 400 if problem.status == 422 else problem.status
    return status, {"message": plain_message(problem).replace(TRUNCATE_HINT, "")}


DIALECT = Dialect(
    name="Cohere",
    description="The API of Cohere for ranking documents and for embeddings. Jina, infinity and vLLM rank by the same.",
    prefixes=("/v1/rerank", "/v2/rerank", "/v1/embed", "/v2/embed"),
    render_error=render_error,
    error=CohereErrorAnswer,
    bodies=(CohereRerankBody, CohereEmbedBody),
    answers=(CohereRerankAnswer, CohereEmbedAnswer),
)
