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
MAX_DIGITS = 12
"""Of a length that is looked at."""

Headers = Iterable[tuple[bytes, bytes]]

_PLAIN_HEAD = re.compile(rb"POST (/[\w/-]*) HTTP/1\.1\r\n((?:[\w-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n")
_NOT_PLAIN = {b"expect", b"transfer-encoding", b"upgrade"}


class Verdict(Enum):
    """What becomes of bytes that are not refused: the server reads them, or there is to be more of them first."""

    LET_IN = "let in"
    INCOMPLETE = "incomplete"


class Door:
    """Looks at requests before they are taken in, for a while after each that was refused because a queue was full.

    Those that come in one turn of the event loop are looked at before any of them is queued: no more are let in than
    there is room for, and where one found none, none does. `tasks` are the engines', by path; longer bodies than
    `max_bytes` are not looked at.
    """

    def __init__(self, state: State, tasks: Mapping[str, str], max_bytes: int) -> None:
        self._state = state
        self._registry: Registry = state.registry
        self._tasks = {path.encode(): task for path, task in tasks.items()}
        self._max_bytes = max_bytes
        self._watched_until = 0.0
        self._let_in: Counter[Engine] = Counter()
        self._full: dict[Engine, QueueFull] = {}

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
        headers = {name.lower(): value.strip(b" \t") for name, _, value in (line.partition(b":") for line in lines)}
        if len(headers) < len(lines) or not self._looks_at(headers):
            return Verdict.LET_IN
        n_missing = head.end() + int(headers[b"content-length"]) - len(data)
        if n_missing != 0:
            return Verdict.INCOMPLETE if n_missing > 0 else Verdict.LET_IN
        error = self._refusal(self._tasks[head[1]], data[head.end() :])
        if error is None:
            return Verdict.LET_IN
        self.watch()
        request_id = request_id_of(headers.get(b"x-request-id", b""))
        log_request(request_id, "POST", head[1].decode(), STATUS[QueueFull], started_at)
        return _answer(request_id, error, server_headers)

    def _looks_at(self, headers: Mapping[bytes, bytes]) -> bool:
        n_bytes = headers.get(b"content-length", b"")
        is_short = n_bytes.isdigit() and len(n_bytes) <= MAX_DIGITS and int(n_bytes) <= self._max_bytes
        is_json = headers.get(b"content-type", b"application/json") == b"application/json"
        goes_on = headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        return is_short and is_json and goes_on and _NOT_PLAIN.isdisjoint(headers)

    def _refusal(self, task: str, body: bytes) -> QueueFull | None:
        try:
            _, loaded = self._registry.asked(task, orjson.loads(body)).require()
        except (orjson.JSONDecodeError, ManifoldError):
            return None  # whatever is wrong with it, the long way tells
        engine = loaded.engine
        if engine in self._full:
            return self._full[engine]
        if not self._let_in and not self._full:
            asyncio.get_running_loop().call_soon(self._forget)
        try:
            engine.require_room(self._let_in[engine])
        except QueueFull as error:
            self._full[engine] = error
            return error
        self._let_in[engine] += 1
        return None

    def _forget(self) -> None:
        """What holds for one turn of the loop."""
        self._let_in.clear()
        self._full.clear()


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
