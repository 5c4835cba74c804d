"""Refuses, while it is still bytes, what a full queue would refuse anyway.

At ten times the load that a server can bear, nine requests of ten are refused. The long way, through the application,
takes several times as long as this one, and what it takes is lost to the forward passes.
"""

import time
from collections.abc import Mapping, Sequence

import orjson
from starlette.datastructures import State
from starlette.responses import Response

from app.errors import ManifoldError, QueueFull
from app.handlers import refused
from app.middleware import log_request, request_id_of
from app.registry import Registry

WATCHED_S = 1.0
"""After a refusal."""

Headers = Sequence[tuple[bytes, bytes]]
"""By name in lower case, as they came."""


class Door:
    """Looks at requests before they are taken in, for a while after each that was refused because a queue was full.

    `tasks` are the engines', by path; longer bodies than `max_bytes` are not looked at.
    """

    def __init__(self, state: State, tasks: Mapping[str, str], max_bytes: int) -> None:
        self._state, self._tasks = state, tasks
        self._registry: Registry = state.registry
        self._max_bytes = max_bytes
        self._watched_until = 0.0

    def watch(self) -> None:
        """From now on."""
        self._watched_until = time.monotonic() + WATCHED_S

    @property
    def is_watched(self) -> bool:
        """Whether requests are to be looked at; not while the server ends."""
        return time.monotonic() < self._watched_until and not self._state.draining

    def looks_at(self, path: str, headers: Headers) -> bool:
        """Whether what is posted there is looked at: JSON of some length, for a task."""
        given = dict(headers)
        n_bytes = given.get(b"content-length", b"")
        is_short = n_bytes.isdigit() and int(n_bytes) <= self._max_bytes
        is_json = given.get(b"content-type", b"application/json") == b"application/json"
        return path in self._tasks and is_short and is_json and b"expect" not in given

    def refusal(self, path: str, headers: Headers, body: bytes) -> Response | None:
        """The answer to a request whose model's queue is full; None for any other."""
        started_at = time.perf_counter()
        error = self._full(path, body)
        if error is None:
            return None
        self.watch()
        request_id = request_id_of(headers)
        response = refused(request_id, error)
        response.raw_headers.append((b"x-request-id", request_id.encode()))
        log_request(request_id, "POST", path, response.status_code, started_at)
        return response

    def _full(self, path: str, body: bytes) -> QueueFull | None:
        try:
            _, loaded = self._registry.asked(self._tasks[path], orjson.loads(body)).require()
            loaded.engine.require_room()
        except QueueFull as error:
            return error
        except (orjson.JSONDecodeError, ManifoldError):
            return None  # whatever is wrong with it, the long way tells
        return None
