"""The errors of the client.

ManifoldError
├── ConnectionFailed    the server cannot be reached, or the connection broke
├── InvalidRequest      the server refuses the request (400, 406, 413, 415, 422)
├── AccessDenied        the key is missing or wrong, or may not do this (401, 403)
├── NotFound            no model or route has this name (404, 405)
├── Overloaded          the queue is full, a rate limit is reached, or the model is not in memory (429, 503)
├── TimedOut            the answer was not ready in time (504)
└── ServerFailed        the server failed, or its answer is not understood (everything else)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One place in the request, as a JSON pointer such as `/inputs/3`, and what is wrong there."""

    pointer: str
    detail: str


class ManifoldError(Exception):
    """Base of all errors of this package.

    Attributes:
        status: the status code of the answer; None if there was none.
        faults: the places in the request that are wrong.
        request_id: the id that finds the request in the server's log; None if there was no answer.
    """

    def __init__(
        self, detail: str, *, status: int | None = None, faults: tuple[Fault, ...] = (), request_id: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.faults, self.request_id = status, faults, request_id


class ConnectionFailed(ManifoldError):
    """The server cannot be reached, or the connection broke before the answer was complete."""


class InvalidRequest(ManifoldError):
    """The server refuses the request; `faults` names the places that are wrong."""


class AccessDenied(ManifoldError):
    """The key is missing or wrong, or its role may not do this."""


class NotFound(ManifoldError):
    """No model or route has this name."""


class Overloaded(ManifoldError):
    """The queue is full, a rate limit is reached, or the model is not in memory, after all retries."""


class TimedOut(ManifoldError):
    """The answer was not ready in time."""


class ServerFailed(ManifoldError):
    """The server failed, or its answer is not understood."""


ERRORS: dict[int, type[ManifoldError]] = {
    **dict.fromkeys((400, 406, 413, 415, 422), InvalidRequest),
    **dict.fromkeys((401, 403), AccessDenied),
    **dict.fromkeys((404, 405), NotFound),
    **dict.fromkeys((429, 503), Overloaded),
    504: TimedOut,
}
"""The class of error of each status; `ServerFailed` for others."""


def error_of(status: int, content: Any, request_id: str | None) -> ManifoldError:
    """Return the error for an answer with this status, whose content is problem details (RFC 9457) or anything else."""
    problem: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    errors = problem.get("errors")
    places = [each for each in errors if isinstance(each, Mapping)] if isinstance(errors, list) else []
    faults = tuple(Fault(str(each.get("pointer")), str(each.get("detail"))) for each in places)
    detail = problem.get("detail") or f"the server answered with status {status}"
    kind = ERRORS.get(status, ServerFailed)
    return kind(str(detail), status=status, faults=faults, request_id=problem.get("request_id") or request_id)
