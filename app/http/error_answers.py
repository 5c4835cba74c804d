"""How an error is answered: as problem details, or in the form of a foreign dialect."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel

from app.errors import Fault

PROBLEM_JSON = "application/problem+json"
Header = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What an error says to the client, without the id of the request. `name` is the name of an error class."""

    name: str
    status: int
    detail: str
    faults: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self, request_id: str) -> dict[str, Any]:
        """Return the members of the problem details (RFC 9457)."""
        name = error_slug(self.name)
        return {
            "type": f"/errors/{name}",
            "title": name.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "errors": [{"pointer": fault.pointer, "detail": fault.detail} for fault in self.faults],
            "request_id": request_id,
        }

    def render(self, request_id: str) -> tuple[list[Header], bytes]:
        """Return the headers and the body of the answer, as problem details."""
        body = orjson.dumps(self.content(request_id))
        return self.answer_headers(body, PROBLEM_JSON), body

    def answer_headers(self, body: bytes, media_type: str) -> list[Header]:
        """Return the headers of an answer with this body."""
        headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
        given = self.headers.items()
        return headers + [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given]


@cache
def error_slug(name: str) -> str:
    """Turn the name of an error class into the end of its `type`: `QueueFull` into `queue-full`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """A foreign wire format that some paths of the server speak.

    Attributes:
        name: the tag of its operations in the OpenAPI document.
        description: a sentence about it, for the OpenAPI document.
        prefixes: the beginnings of its paths.
        render_error: returns the status and the JSON content of the answer to an error.
        error: the model of that content, for the OpenAPI document.
        bodies: the models of the bodies of its requests, for the OpenAPI document.
        answers: the models of its answers, for the OpenAPI document.
    """

    name: str
    description: str
    prefixes: tuple[str, ...]
    render_error: Callable[[Problem], tuple[int, Any]]
    error: type[BaseModel]
    bodies: tuple[type[BaseModel], ...] = ()
    answers: tuple[type[BaseModel], ...] = ()

    def render(self, problem: Problem) -> tuple[int, list[Header], bytes]:
        """Return the status, the headers and the body of the answer to an error."""
        status, content = self.render_error(problem)
        body = orjson.dumps(content)
        return status, problem.answer_headers(body, "application/json"), body
