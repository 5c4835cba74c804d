"""Refuses, while it is still bytes, what a full queue would refuse anyway.

At ten times the load that a server can bear, nine requests of ten are refused. The long way, through the parser and the
application, takes several times as long as this one, and what it takes is lost to the forward passes.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum

import orjson
from starlette.datastructures import State

from app.engine.engine import Engine
from app.errors import ManifoldError, QueueFull
from app.handlers import PROBLEM_JSON, STATUS, details
from app.middleware import log_request, request_id_of
from app.registry import Registry

WATCHED_S = 1.0
"""After a refusal."""

Headers = Iterable[tuple[bytes, bytes]]

_PLAIN_HEAD = re.compile(rb"POST (/[\w/-]*) HTTP/1\.1\r\n((?:[\w-]+:[^\r\n]*\r\n)+)\r\n")
_NOT_PLAIN = {b"expect", b"transfer-encoding", b"upgrade"}


class Verdict(Enum):
    """What becomes of bytes that are not refused: the server reads them, or there is to be more of them first."""

    LET_IN = "let in"
    INCOMPLETE = "incomplete"


class Door:
    """Looks at requests before they are taken in, for a while after each that was refused because a queue was full.

    Those that come in one turn of the event loop are looked at before any of them is queued: no more are let in than
    there is room for. `tasks` are the engines', by path; longer bodies than `max_bytes` are not looked at.
    """

    def __init__(self, state: State, tasks: Mapping[str, str], max_bytes: int) -> None:
        self._state = state
        self._registry: Registry = state.registry
        self._tasks = {path.encode(): task for path, task in tasks.items()}
        self._max_bytes = max_bytes
        self._watched_until = 0.0
        self._let_in: Counter[Engine] = Counter()

    def watch(self) -> None:
        """From now on."""
        self._watched_until = time.monotonic() + WATCHED_S

    @property
    def is_watched(self) -> bool:
        """Whether requests are to be looked at; not while the server ends."""
        return time.monotonic() < self._watched_until and not self._state.draining

    def verdict(self, data: bytes, server_headers: Headers) -> bytes | Verdict:
        """On what has come since the last request: the answer to one whose model's queue is full.

        Only what can be read in one way is looked at: one request of a known length, and nothing after it.
        """
        started_at = time.perf_counter()
        head = _PLAIN_HEAD.match(data)
        if head is None or head[1] not in self._tasks:
            return Verdict.LET_IN
        lines = head[2].split(b"\r\n")[:-1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if len(headers) < len(lines) or not self._looks_at(headers):
            return Verdict.LET_IN
        n_missing = head.end() + int(headers[b"content-length"]) - len(data)
        if n_missing != 0:
            return Verdict.INCOMPLETE if n_missing > 0 else Verdict.LET_IN
        error = self._full(self._tasks[head[1]], data[head.end() :])
        if error is None:
            return Verdict.LET_IN
        self.watch()
        request_id = request_id_of(headers.items())
        log_request(request_id, "POST", head[1].decode(), STATUS[QueueFull], started_at)
        return _answer(request_id, error, server_headers)

    def _looks_at(self, headers: Mapping[bytes, bytes]) -> bool:
        n_bytes = headers.get(b"content-length", b"")
        is_short = n_bytes.isdigit() and int(n_bytes) <= self._max_bytes
        is_json = headers.get(b"content-type", b"application/json") == b"application/json"
        goes_on = headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        return is_short and is_json and goes_on and _NOT_PLAIN.isdisjoint(headers)

    def _full(self, task: str, body: bytes) -> QueueFull | None:
        try:
            _, loaded = self._registry.asked(task, orjson.loads(body)).require()
            loaded.engine.require_room(self._let_in[loaded.engine])
        except QueueFull as error:
            return error
        except (orjson.JSONDecodeError, ManifoldError):
            return None  # whatever is wrong with it, the long way tells
        if not self._let_in:
            asyncio.get_running_loop().call_soon(self._let_in.clear)
        self._let_in[loaded.engine] += 1
        return None


def _answer(request_id: str, error: QueueFull, server_headers: Headers) -> bytes:
    """As `handlers.refused` has it, on the shortest way."""
    status = STATUS[QueueFull]
    body = orjson.dumps(details(request_id, name=QueueFull.__name__, status=status, detail=error.detail))
    return (
        b"HTTP/1.1 %d Too Many Requests\r\n%sretry-after: %d\r\ncontent-length: %d\r\ncontent-type: %s\r\n"
        b"x-request-id: %s\r\n\r\n%s"
    ) % (
        status,
        b"".join([b"%s: %s\r\n" % header for header in server_headers]),
        error.retry_after_s,
        len(body),
        PROBLEM_JSON.encode(),
        request_id.encode(),
        body,
    )
