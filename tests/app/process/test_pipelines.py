"""Pipelined requests: any number is answered in order, and few of them are kept in memory at a time."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.process import uvicorn_protocol
from app.process.incoming import MAX_PIPELINED, SLICE_BYTES, end_of_slice, may_hold_many
from app.process.refusals import MAX_HEADERS
from app.process.uvicorn_protocol import Protocol
from tests.app.process.listening import (
    LAST_REQUEST,
    REQUEST,
    TIMEOUT_S,
    RecordingTransport,
    answered,
    listening,
    nothing,
    statuses,
)

pytestmark = pytest.mark.anyio

SHORT = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"
N_REQUESTS = 2000


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The server's own loop."""
    return "asyncio", {"use_uvloop": True}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with the path and the body."""
    body, more_body = scope["path"].encode() + b" ", True
    while more_body:
        message = await receive()
        body, more_body = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def connected(app: Callable[..., Any]) -> tuple[Protocol, RecordingTransport, ServerState]:
    state, transport = ServerState(), RecordingTransport()
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, date_header=False)
    protocol = Protocol(config=config, server_state=state, app_state={})
    protocol.connection_made(transport)
    return protocol, transport, state


def bodies(answers: bytes) -> list[bytes]:
    """Return the bodies of answers with a length."""
    found = []
    while answers:
        head, _, answers = answers.partition(b"\r\n\r\n")
        n_bytes = int(head.rpartition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(answers[:n_bytes])
        answers = answers[n_bytes:]
    return found


async def test_few_of_many_requests_are_parsed_before_they_are_answered() -> None:
    protocol, transport, state = connected(echo)
    data = b"".join(SHORT % number for number in range(N_REQUESTS))
    protocol.data_received(data)
    n_waiting = []
    while state.tasks:
        n_waiting.append(len(protocol.pipeline))
        assert transport.is_read is False or transport.written.count(b"HTTP/1.1 200") >= N_REQUESTS - 1
        await asyncio.sleep(0)
    assert max(n_waiting) == MAX_PIPELINED
    assert bodies(transport.written) == [b"/%d " % number for number in range(N_REQUESTS)]
    assert transport.is_read
    protocol.connection_lost(None)


def mixed_requests(n_requests: int) -> tuple[bytes, list[bytes]]:
    """Return requests of all kinds of framing, with bodies that look like heads, and the bodies of their answers."""
    data, answers = b"", []
    tricky = b"\r\n\r\nGET /no HTTP/1.1\r\nhost: x\r\n\r\n"
    for number in range(n_requests):
        body = tricky * (number % 5)
        head = b"POST /%d HTTP/1.1\r\nhost: x\r\n" % number
        match number % 3:
            case 0:
                data += head + b"\r\n"
                body = b""
            case 1:
                data += head + b"content-length: %d\r\n\r\n%s" % (len(body), body)
            case 2:
                pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
                data += head + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\nx: y\r\n\r\n"
        answers.append(b"/%d %s" % (number, body))
    return data, answers


@pytest.mark.parametrize("parsing_s", [0.0, 60.0])
async def test_requests_with_any_body_may_be_cut_anywhere(parsing_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_protocol, "PARSING_S", parsing_s)
    data, expected = mixed_requests(5 * MAX_PIPELINED)
    chance = random.Random(0)
    for _ in range(12):
        protocol, transport, state = connected(echo)
        cuts = sorted(chance.sample(range(1, len(data)), 6))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            async with asyncio.timeout(TIMEOUT_S):
                while not transport.is_read:
                    await asyncio.sleep(0)
            protocol.data_received(data[start:end])
        async with asyncio.timeout(TIMEOUT_S):
            while state.tasks:
                await asyncio.sleep(0)
        assert bodies(transport.written) == expected, cuts
        protocol.connection_lost(None)


@pytest.mark.parametrize("n_before", [0, 1, MAX_PIPELINED, 5 * MAX_PIPELINED])
async def test_a_malformed_request_is_refused_behind_the_answers_before_it(n_before: int) -> None:
    async with listening(nothing) as port:
        answer = await answered(port, n_before * REQUEST + b"GET / HTTP/1.1\r\nno header\r\n\r\n" + 50 * REQUEST)
    assert statuses(answer) == [200] * n_before + [400]


async def test_requests_behind_one_that_closes_the_connection_are_dropped() -> None:
    async with listening(nothing) as port:
        answer = await answered(port, 40 * REQUEST + LAST_REQUEST + 40 * REQUEST)
    assert statuses(answer) == [200] * 41


async def test_what_has_arrived_is_answered_when_the_server_shuts_down() -> None:
    protocol, transport, state = connected(echo)
    protocol.data_received(b"".join(SHORT % number for number in range(5 * MAX_PIPELINED)))
    protocol.shutdown()
    while state.tasks:
        await asyncio.sleep(0)
    assert bodies(transport.written) == [b"/%d " % number for number in range(5 * MAX_PIPELINED)]
    assert transport.written.count(b"connection: close") == 1
    protocol.connection_lost(None)


async def test_a_body_in_many_pieces_is_parsed_between_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_protocol, "PARSING_S", 0.0)
    n_pieces = 20_000
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    protocol, transport, state = connected(echo)
    protocol.data_received(head + n_pieces * b"1\r\na\r\n" + b"0\r\n\r\n")
    n_iterations = 0
    while state.tasks:
        n_iterations += 1
        await asyncio.sleep(0)
    assert n_iterations > n_pieces * len(b"1\r\na\r\n") // SLICE_BYTES
    assert bodies(transport.written) == [b"/ " + n_pieces * b"a"]
    protocol.connection_lost(None)


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_head_of_many_headers_is_refused(is_whole: bool) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\n" + (MAX_HEADERS + 1) * b"a:\r\n"
    async with listening(nothing) as port:
        answer = await answered(port, head + (b"connection: close\r\n\r\n" if is_whole else b""))
    assert statuses(answer) == [431]
    assert b"%d headers" % MAX_HEADERS in answer


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (REQUEST, False),
        (b"half a he", False),
        (b"POST / HTTP/1.1\r\nhost: x\r\n\r\n" + bytes(300_000), False),
        (bytes(300_000), False),
        (2 * REQUEST, True),
        (REQUEST + b"GET", False),  # which ends no head
        (b"1\r\na\r\n" * 100_000, True),
    ],
)
def test_bytes_that_may_hold_many_requests_are_told_from_others(data: bytes, expected: bool) -> None:
    assert may_hold_many(data) == expected


def test_a_slice_ends_behind_the_last_head_that_is_allowed() -> None:
    data = 10 * (SHORT % 1)
    assert end_of_slice(data, 0, 3) == 3 * len(SHORT % 1)
    assert end_of_slice(data, len(SHORT % 1), 100) == len(data)
    assert end_of_slice(bytes(3 * SLICE_BYTES), 5, 1) == 5 + SLICE_BYTES
