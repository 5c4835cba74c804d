"""The form of errors in the dialect of Text Embeddings Inference."""

from typing import Any

from app.http.error_answers import Dialect, Problem
from app.routes.foreign_faults import plain_message
from app.schemas.foreign.tei import (
    TeiDecodeBody,
    TeiElement,
    TeiEmbedBody,
    TeiErrorAnswer,
    TeiInfo,
    TeiLabel,
    TeiPredictBody,
    TeiRank,
    TeiRerankBody,
    TeiSimilarityBody,
    TeiTextsBody,
    TeiToken,
    TeiTokenizeBody,
)
from models.codecs.text.codec import TRUNCATE_HINT

EMPTY = "there must be at least one"
"""What is wrong with a list without inputs. The dialect has a status and a kind of errors of its own for it."""
KINDS = {
    "QueueFull": "Overloaded",
    "MemoryExhausted": "Overloaded",
    "RateLimited": "Overloaded",
    "ModelUnavailable": "Unhealthy",
}
"""Kinds of errors by the name of the error class; the others are `Backend` from 500 on, and `Validation` below."""


def render_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of the answer to an error.

    Texts that are too long are 413, no inputs 400, and inputs on which the model fails 424.
    """
    status, kind = problem.status, KINDS.get(problem.name, "Backend" if problem.status >= 500 else "Validation")
    details = [fault.detail for fault in problem.faults]
    if problem.name == "InferenceFailed":
        status = 424
    elif any(TRUNCATE_HINT in detail for detail in details):
        status = 413
    elif EMPTY in details:
        status, kind = 400, "Empty"
    return status, {"error": plain_message(problem), "error_type": kind}


DIALECT = Dialect(
    name="Text Embeddings Inference",
    description="The API of Text Embeddings Inference, with a path for each model, for its clients.",
    prefixes=("/tei/",),
    render_error=render_error,
    error=TeiErrorAnswer,
    bodies=(
        TeiEmbedBody,
        TeiTextsBody,
        TeiPredictBody,
        TeiRerankBody,
        TeiSimilarityBody,
        TeiTokenizeBody,
        TeiDecodeBody,
    ),
    answers=(TeiElement, TeiLabel, TeiRank, TeiToken, TeiInfo),
)
