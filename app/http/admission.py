"""Refuses, while it is still bytes, what a full queue would refuse anyway.

At ten times the load that a server can bear, nine requests of ten are refused. The long way, through the parser and the
application, takes several times as long as this one, and what it takes is lost to the forward passes.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import orjson
from starlette.datastructures import State
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.engine.engine import Engine
from app.errors import ManifoldError, QueueFull
from app.http.context import log_request, request_id_of
from app.http.problems import PROBLEM_JSON, STATUS, details
from app.registry.registry import Registry

WATCHED_S = 1.0
"""After a refusal."""
MAX_REST_S, RESTS_OF_BACKLOG = 0.005, 8
"""How long the loop rests at most where it has refused, and how many rests there are at least in what waits."""
MAX_HEAD_BYTES, N_HEADS = 2048, 1024
"""Of heads that are looked at, and how many of them are remembered: a client's are all alike but for lengths."""
MAX_DIGITS = 12
"""Of a length that is looked at."""

Headers = Iterable[tuple[bytes, bytes]]

_HEAD_END = b"\r\n\r\n"
_PLAIN_HEAD = re.compile(rb"POST (/[\w/-]*) HTTP/1\.1\r\n((?:[\w-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n")
_NOT_PLAIN = {b"expect", b"transfer-encoding", b"upgrade"}


def head_of(status: int, headers: Headers) -> bytes:
    """Of an answer: a line for its status and one for each header, but for the empty one at the end."""
    return b"".join([STATUS_LINE[status], *[b"%s: %s\r\n" % header for header in headers]])


class Verdict(Enum):
    """What becomes of bytes that are not refused: the server reads them, or there is to be more of them first."""

    LET_IN = "let in"
    INCOMPLETE = "incomplete"


class Door:
    """Looks at requests before they are taken in, for a while after each that was refused because a queue was full.

    Those that come in one turn of the event loop are looked at before any of them is queued: no more are let in than
    there is room for, and where one found none, none does. After a turn that refused some, the loop rests for a moment,
    in which the next gather: a turn costs more than most of what it does. `tasks` are the engines', by path; longer
    bodies than `max_bytes` are not looked at.
    """

    def __init__(self, state: State, tasks: Mapping[str, str], max_bytes: int) -> None:
        self._state = state
        self._registry: Registry = state.registry
        self._tasks = {path.encode(): task for path, task in tasks.items()}
        self._max_bytes = max_bytes
        self._watched_until = 0.0
        self._let_in: Counter[Engine] = Counter()
        self._full: dict[Engine, _Refusal] = {}
        self._has_visitors = False

    def watch(self) -> None:
        """From now on."""
        self._watched_until = time.monotonic() + WATCHED_S

    @property
    def is_watched(self) -> bool:
        """Whether requests are to be looked at; not while the server ends."""
        return time.monotonic() < self._watched_until and not self._state.draining

    def visit(self) -> None:
        """A connection was accepted: the loop does not rest, for it accepts one a turn, and others may be waiting."""
        self._has_visitors = True

    def verdict(self, data: bytes, server_headers: Headers) -> bytes | Verdict:
        """On what has come since the last request: the answer to one whose model's queue is full.

        Only what can be read in one way is looked at: one request of a known length, and nothing after it.
        """
        started_at = time.perf_counter()
        end = data.find(_HEAD_END, 0, MAX_HEAD_BYTES) + len(_HEAD_END)
        head = _plain_head(data[:end])
        if head is None or head.path not in self._tasks or head.n_bytes > self._max_bytes:
            return Verdict.LET_IN
        n_missing = end + head.n_bytes - len(data)
        if n_missing != 0:
            return Verdict.INCOMPLETE if n_missing > 0 else Verdict.LET_IN
        refusal = self._refusal(self._tasks[head.path], data[end:], server_headers)
        if refusal is None:
            return Verdict.LET_IN
        self.watch()
        request_id = request_id_of(head.request_id)
        log_request(request_id, "POST", head.path.decode(), STATUS[QueueFull], started_at)
        return refusal.answer(request_id)

    def _refusal(self, task: str, body: bytes, server_headers: Headers) -> "_Refusal | None":
        try:
            _, loaded = self._registry.asked(task, orjson.loads(body)).require()
        except (orjson.JSONDecodeError, ManifoldError):
            return None  # whatever is wrong with it, the long way tells
        engine = loaded.engine
        if engine in self._full:
            return self._full[engine]
        if not self._let_in and not self._full:
            asyncio.get_running_loop().call_soon(self._end_turn)
        try:
            engine.require_room(self._let_in[engine])
        except QueueFull as error:
            self._full[engine] = _Refusal(error, server_headers)
            return self._full[engine]
        self._let_in[engine] += 1
        return None

    def _end_turn(self) -> None:
        """Of the loop."""
        if self._full and not self._has_visitors:
            asyncio.get_running_loop().call_soon(time.sleep, min(map(_rest_s, self._full)))  # once they are answered
        self._let_in.clear()
        self._full.clear()
        self._has_visitors = False


def _rest_s(engine: Engine) -> float:
    """Workers find work in the queue meanwhile."""
    return min(MAX_REST_S, engine.backlog_s / RESTS_OF_BACKLOG)


@dataclass(frozen=True, slots=True)
class _Head:
    """What there is to know of a request that can be read in one way."""

    path: bytes
    n_bytes: int
    request_id: bytes


@lru_cache(N_HEADS)
def _plain_head(data: bytes) -> _Head | None:
    head = _PLAIN_HEAD.fullmatch(data)
    if head is None:
        return None
    lines = head[2].split(b"\r\n")[:-1]
    headers = {name.lower(): value.strip(b" \t") for name, _, value in (line.partition(b":") for line in lines)}
    n_bytes = headers.get(b"content-length", b"")
    has_length = n_bytes.isdigit() and len(n_bytes) <= MAX_DIGITS
    is_json = headers.get(b"content-type", b"application/json") == b"application/json"
    goes_on = headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    is_plain = len(headers) == len(lines) and has_length and is_json and goes_on and _NOT_PLAIN.isdisjoint(headers)
    return _Head(head[1], int(n_bytes), headers.get(b"x-request-id", b"")) if is_plain else None


class _Refusal:
    """As `handlers.refused` has it, written but for the id of the request."""

    def __init__(self, error: QueueFull, server_headers: Headers) -> None:
        status = STATUS[QueueFull]
        own = ((b"retry-after", b"%d" % error.retry_after_s), (b"content-type", PROBLEM_JSON.encode()))
        self._head = head_of(status, (*server_headers, *own))
        content = details("", name=QueueFull.__name__, status=status, detail=error.detail)
        self._body = orjson.dumps(content).removesuffix(b'""}')  # the id comes last

    def answer(self, request_id: str) -> bytes:
        """All of it."""
        body = b"%s%s}" % (self._body, orjson.dumps(request_id))
        return b"%scontent-length: %d\r\nx-request-id: %s\r\n\r\n%s" % (
            self._head,
            len(body),
            request_id.encode(),
            body,
        )
