"""The clients of a hostile case: they send requests to a server, and count what they are answered."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import orjson

from benchmarks.server.hostile.case import TIME_LIMIT, UNAVAILABLE, Case, CaseResult
from benchmarks.server.http_client import Answer, BlockingConnection, http_request
from benchmarks.server.requests import JSON_TYPE

ANSWER_TIMEOUT_S = 120.0
POLL_S = 0.1
NO_ANSWER = 0


class Visitor:
    """The clients of a case at a server that others use as well, so that nothing is measured while they attack.

    Answers to `ask` are counted by their status; `require` states what else a case demands.
    """

    def __init__(self, case: Case, port: int) -> None:
        self._case, self.port = case, port
        self._lock = threading.Lock()
        self.result = CaseResult(name=case.name)

    def ask(self, request: bytes, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer | None:
        """Send a request over a connection of its own; None if no answer comes."""
        answer = None
        with suppress(OSError, ValueError), BlockingConnection(self.port, timeout_s=timeout_s) as connection:
            answer = connection.ask(request)
        self.count(answer)
        return answer

    def ask_json(self, path: str, body: Any, *, timeout_s: float = ANSWER_TIMEOUT_S, **headers: str) -> tuple[int, Any]:
        """Send a body as JSON, and return the status and the content of the answer; status 0 without one."""
        answer = self.ask(json_request(path, body, **headers), timeout_s=timeout_s)
        if answer is None:
            return NO_ANSWER, None
        return answer.status, orjson.loads(answer.body) if answer.body.startswith((b"{", b"[")) else answer.body

    def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the content of a JSON answer to GET; status 0 without one."""
        answer = self.ask(http_request(path, method="GET"))
        if answer is None:
            return NO_ANSWER, None
        return answer.status, orjson.loads(answer.body)

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Call functions at the same time, each on a thread, and return what they return, in order."""
        results: list[Any] = [None] * len(calls)

        def call(number: int) -> None:
            results[number] = calls[number]()

        threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def count(self, answer: Answer | None) -> None:
        """Count an answer by its status; none counts as 0."""
        status = NO_ANSWER if answer is None else answer.status
        allowed = {TIME_LIMIT, *([UNAVAILABLE] if self._case.unavailable else [])}
        with self._lock:
            self.result.statuses[status] += 1
            if status >= 500 and status not in allowed:
                self.result.unexpected_statuses[status] += 1

    def require(self, holds: bool, sentence: str) -> None:
        """Note a sentence as a failure of the case unless it holds."""
        if not holds:
            self.result.failures.append(sentence)

    def within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        """Return whether something becomes true within a time."""
        deadline = time.monotonic() + seconds
        while not (found := holds()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return found

    @contextmanager
    def watch(self, *, neighbour: bool = True) -> Iterator[None]:
        """Measure nothing while the block attacks."""
        yield


def json_request(path: str, body: Any, **headers: str) -> bytes:
    """Return a request with a body of JSON; bytes are sent as they are. Headers are named with underscores."""
    content = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_request(path, content, {"content-type": JSON_TYPE, **named})
