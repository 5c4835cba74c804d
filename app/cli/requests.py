"""Sending the inputs of a task to a server: in requests within its limits, several at a time, answered in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import orjson

from app.cli.connection import KEY_HINT, Connection, parse_object
from app.cli.errors import Refused, WrongUsage
from app.cli.inputs import Item
from app.cli.parameters import option_of

ITEMS_PER_REQUEST = 64
"""Maximum number of items in one request, below the server's own limit, so that progress is seen."""
BYTES_PER_REQUEST = 4 * 2**20
"""Size in bytes beyond which a request takes no further item, below the server's own limit."""
BYTES_PER_NUMBER = 24
"""Largest size in bytes of a number of an array as JSON."""
REQUESTS_AT_A_TIME = 4
MAX_TRIES = 20
"""Maximum number of times that a request is sent which the server refuses for the time being."""
MAX_WAIT_S = 30.0
"""Longest time that the server may ask to wait before another try; a longer one is an error."""
MARGIN_S = 30.0
"""Time beyond the deadline of a request after which a server that does not answer is given up."""
JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A task with its parameters.

    Attributes:
        path: the path of the task.
        model: the model to name; None to name none.
        parameters: the parameters.
        accept: the media type of the answer.
        timeout_ms: the deadline of each request in milliseconds; None for the server's default.
    """

    path: str
    model: str | None
    parameters: Mapping[str, Any]
    accept: str = JSON
    timeout_ms: int | None = None

    def request(self, connection: Connection, items: Sequence[Item] | None, default_timeout_ms: int) -> httpx.Request:
        """Return the request for some items, or for a task without inputs."""
        body: dict[str, Any] = {} if self.model is None else {"model": self.model}
        if items is not None:
            body["inputs"] = [item.value for item in items]
        if self.parameters:
            body["parameters"] = self.parameters
        headers = {"content-type": JSON, "accept": self.accept}
        if self.timeout_ms is not None:
            headers["x-timeout-ms"] = str(self.timeout_ms)
        limit_s = (self.timeout_ms or default_timeout_ms) / 1000 + MARGIN_S
        content = orjson.dumps(body, default=_contiguous, option=orjson.OPT_SERIALIZE_NUMPY)
        timeout = httpx.Timeout(limit_s, connect=min(limit_s, 10.0))
        return connection.client.build_request("POST", self.path, content=content, headers=headers, timeout=timeout)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to one request.

    Attributes:
        items: the items of the request; None for a task without inputs.
        content: the answer, parsed where it is JSON.
        warnings: sentences about inputs that were accepted although they seem wrong.
    """

    items: Sequence[Item] | None
    content: Any
    warnings: Sequence[str] = ()


def _contiguous(value: Any) -> Any:
    """Return an array in the memory layout that the JSON encoder takes."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def split(items: Sequence[Item], limits: Mapping[str, int]) -> Iterator[Sequence[Item]]:
    """Yield the items in groups for one request each, within the limits that the server tells by `GET /info`.

    Texts inside an item count as items, as they do for the server.
    """
    max_items, max_bytes = min(ITEMS_PER_REQUEST, limits["max_items"]), min(BYTES_PER_REQUEST, limits["max_body_bytes"])
    group: list[Item] = []
    n_items = n_bytes = 0
    for item in items:
        weight, size = _weigh(item.value)
        if group and (n_items + weight > max_items or n_bytes + size > max_bytes):
            yield group
            group, n_items, n_bytes = [], 0, 0
        group.append(item)
        n_items, n_bytes = n_items + weight, n_bytes + size
    if group:
        yield group


def _weigh(value: Any) -> tuple[int, int]:
    """Return the number of items that a value counts as, and about how many bytes it takes as JSON."""
    n_texts = 1
    if isinstance(value, dict):
        n_texts += sum(len(member) for member in value.values() if isinstance(member, list))
    if hasattr(value, "nbytes"):
        return 1, BYTES_PER_NUMBER * value.size
    return n_texts, len(orjson.dumps(value)) + 1


async def answers(
    connection: Connection, call: Call, groups: Sequence[Sequence[Item] | None], default_timeout_ms: int
) -> AsyncGenerator[Answer, None]:
    """Send a request for each group, a few at a time, and yield the answers in order.

    Closing the generator cancels the requests that are under way.

    Raises:
        Refused: a request is refused or fails; the error names the place of each input that is to blame.
    """
    running: deque[asyncio.Task[Answer]] = deque()
    waiting = iter(groups)

    def start_next() -> None:
        for group in waiting:
            running.append(asyncio.create_task(_answer(connection, call, group, default_timeout_ms)))
            break

    try:
        for _ in range(REQUESTS_AT_A_TIME):
            start_next()
        while running:
            answer = await running[0]
            running.popleft()
            start_next()
            yield answer
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _answer(connection: Connection, call: Call, items: Sequence[Item] | None, default_timeout_ms: int) -> Answer:
    answer = await send_patiently(connection, lambda: call.request(connection, items, default_timeout_ms))
    if answer.is_error:
        raise refusal(answer, items)
    if call.accept != JSON:
        return Answer(items=items, content=answer.content, warnings=_warnings(answer.headers.get("x-warnings"), items))
    content = parse_object(answer)
    return Answer(items=items, content=content, warnings=_warnings(content.get("warnings"), items))


async def send_patiently(
    connection: Connection, make_request: Callable[[], httpx.Request], *, stream: bool = False
) -> httpx.Response:
    """Send a request; if the server is overloaded or still loading, wait as long as it asks for, and send it again.

    Raises:
        Refused: the server cannot be reached.
    """
    for n_tries in range(1, MAX_TRIES + 1):
        answer = await connection.send(make_request(), stream=stream)
        wait = answer.headers.get("retry-after", "")
        is_refused_for_now = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or (
            answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and wait == "1"  # the model is loading
        )
        if not is_refused_for_now or n_tries == MAX_TRIES or not wait.isdecimal() or int(wait) > MAX_WAIT_S:
            break
        await answer.aclose()
        await asyncio.sleep(int(wait))
    return answer


def refusal(answer: httpx.Response, items: Sequence[Item] | None) -> Refused:
    """Return the error for an answer that is problem details, with a sentence for each fault.

    It is one of usage if parameters alone are to blame.
    """
    return refusal_of(parse_object(answer), items)


def refusal_of(problem: Mapping[str, Any], items: Sequence[Item] | None) -> Refused:
    """Return the error for problem details, with a sentence for each fault."""
    faults = problem.get("errors") or []
    if not faults:
        detail = _sentence(str(problem.get("detail") or problem.get("title") or "the server refused this"))
        return Refused([f"{detail} {KEY_HINT}" if problem.get("status") == HTTPStatus.UNAUTHORIZED else detail])
    sentences = [_locate(fault["pointer"], fault["detail"], items) for fault in faults]
    are_options = all(fault["pointer"].startswith(("/parameters/", "/model")) for fault in faults)
    return (WrongUsage if are_options else Refused)(sentences)


def _locate(pointer: str, detail: str, items: Sequence[Item] | None) -> str:
    """Return a sentence for a fault, in which the place that the user gave stands for the pointer into the body."""
    first, *rest = pointer.removeprefix("/").split("/")
    if first == "inputs" and rest and items is not None and rest[0].isdecimal() and int(rest[0]) < len(items):
        inner = f" at {'/'.join(rest[1:])}" if rest[1:] else ""
        return f"{items[int(rest[0])].place}{inner}: {_sentence(detail)}"
    if first == "inputs" and not rest and items:
        place = items[0].place if len(items) == 1 else f"{items[0].place} to {items[-1].place}"
        return f"{place}: {_sentence(detail)}"
    if first == "parameters" and rest:
        names = [part for part in rest if not part.isdecimal()]
        return f"{option_of(names)}: {_sentence(detail)}"
    if first == "model":
        return f"--model: {_sentence(detail)}"
    return _sentence(detail[:1].upper() + detail[1:])


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _warnings(given: Any, items: Sequence[Item] | None) -> list[str]:
    warnings = orjson.loads(given) if isinstance(given, str) else given or []
    return [_locate(each["pointer"], each["detail"], items) for each in warnings]
