"""The form of errors in the Hugging Face Inference API."""

from typing import Any

from app.http.error_answers import Problem
from app.routes.foreign_faults import plain_message

ERROR_TYPES = {
    400: "validation",
    413: "validation",
    415: "validation",
    422: "validation",
    429: "overloaded",
    500: "generation",
    503: "overloaded",
    504: "generation",
}
"""Kinds of errors by status. Those about the path, the method or the permission have none."""


def render_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of the answer to an error."""
    kind = ERROR_TYPES.get(problem.status)
    return problem.status, {"error": plain_message(problem), **({"error_type": kind} if kind else {})}
