"""What the protocol adds to uvicorn's: limits on heads and on waiting, ignored upgrades."""

import asyncio
import socket
from contextlib import closing, suppress
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.process.refusals import MAX_HEAD_BYTES
from app.process.uvicorn_protocol import Protocol
from tests.app.process.listening import (
    LAST_REQUEST,
    REQUEST,
    TIMEOUT_S,
    RecordingTransport,
    answered,
    close,
    listening,
    nothing,
    statuses,
)

pytestmark = pytest.mark.anyio

MANY = 20_000
LARGE = 6 * 2**20
SHORT_S = 0.4
"""The timeout of idle connections, where a test waits for it."""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The server's own loop."""
    return "asyncio", {"use_uvloop": True}


STARTS = {
    "plain": (200, [(b"x-model", b"mine"), (b"x-empty", b"")]),
    "no content": (204, []),
    "closes": (404, [(b"connection", b"close")]),
    "two lines": (200, [(b"x-model", b"mine\r\nset-cookie: a=b")]),
    "half a line": (200, [(b"x-model", b"mi\rne")]),
}
BODIES = {"whole": [b"some"], "none": [b""], "in pieces": [b"so", b"me"], "and nothing": [b"some", b""]}
LENGTHS = {"right": 0, "wrong": 1, "unknown": None}
REQUESTS = {
    "1.1": REQUEST,
    "1.0": REQUEST.replace(b"/1.1", b"/1.0"),
    "HEAD": REQUEST.replace(b"POST", b"HEAD"),
    "expects": REQUEST.replace(b"host: x", b"host: x\r\nexpect: 100-continue"),
}


async def varied(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answer is named by the path."""
    start, body, length = scope["path"].strip("/").split("/")
    status, headers = STARTS[start]
    if (extra := LENGTHS[length]) is not None:
        n_bytes = len(b"".join(BODIES[body]))
        headers = [*headers, (b"content-length", b"%d" % (n_bytes + extra))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for place, piece in enumerate(BODIES[body], 1):
        await send({"type": "http.response.body", "body": piece, "more_body": place < len(BODIES[body])})
    await receive()


async def test_every_answer_is_uvicorns_byte_by_byte() -> None:
    async def answers_of(protocol: type[asyncio.Protocol]) -> dict[tuple[str, ...], bytes]:
        answers: dict[tuple[str, ...], bytes] = {}
        async with listening(varied, protocol) as port:
            for start, body, length, kind in product(STARTS, BODIES, LENGTHS, REQUESTS):
                if kind == "1.0" and length == "unknown":
                    continue  # uvicorn answers in chunked coding
                path = quote(f"/{start}/{body}/{length}").encode()
                both = REQUESTS[kind] + LAST_REQUEST
                answers[start, body, length, kind] = await answered(port, both.replace(b"/encode", path))
        return answers

    assert await answers_of(Protocol) == await answers_of(HttpToolsProtocol)


async def long_answer(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that answers with 10 kB."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10000")]})
    await send({"type": "http.response.body", "body": bytes(10_000)})


async def test_a_client_that_never_reads_is_read_no_more() -> None:
    request = REQUEST.replace(b"host: x", b"host: " + b"x" * 1000)
    loop, n_sent = asyncio.get_running_loop(), 0
    async with listening(long_answer) as port:
        with socket.socket() as connection, suppress(TimeoutError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", port))
            while n_sent < MANY:
                async with asyncio.timeout(1):
                    await loop.sock_sendall(connection, request)
                await asyncio.sleep(0)
                n_sent += 1
    assert 100 < n_sent < MANY


HEADS = {
    "path": b"GET /" + b"a" * MAX_HEAD_BYTES,
    "header": b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * MAX_HEAD_BYTES,
    "headers": b"GET / HTTP/1.1\r\n" + b"x: a\r\n" * (MAX_HEAD_BYTES // 6),
}


@pytest.mark.parametrize("kind", HEADS)
async def test_a_head_without_end_is_refused(kind: str) -> None:
    async with listening(nothing) as port:
        answer = await answered(port, HEADS[kind])
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert f"more than {MAX_HEAD_BYTES} bytes".encode() in answer
    assert b"/errors/head-too-large" in answer


@pytest.mark.parametrize("kind", HEADS)
async def test_a_head_that_arrives_whole_has_the_same_limit(kind: str) -> None:
    end = {"path": b" HTTP/1.1\r\nhost: x\r\n\r\n", "header": b"\r\n\r\n", "headers": b"host: x\r\n\r\n"}[kind]
    async with listening(nothing) as port:
        answer = await answered(port, HEADS[kind] + end + LAST_REQUEST)
    assert statuses(answer)[0] == 431


async def test_a_head_without_end_is_refused_after_the_answer_to_the_request_before() -> None:
    async with listening(late) as port:
        answer = await answered(port, REQUEST + HEADS["path"] + bytes(LARGE).replace(b"\0", b"a"))
    assert statuses(answer) == [200, 431]


@pytest.mark.parametrize("body", [b"0\r\nx: ", b"4;x="], ids=["trailer", "chunk extension"])
async def test_a_body_that_goes_on_without_content_ends_the_connection(body: bytes) -> None:
    head = b"POST /late HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    async with listening(late) as port:
        assert await answered(port, head + body + b"a" * MAX_HEAD_BYTES) == b""


async def late(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that takes longer than a client is waited for, in these tests."""
    await asyncio.sleep(2 * SHORT_S)
    await nothing(_scope, _receive, send)


NEVER_ASKING = {
    "nothing": b"",
    "half a line": b"\r",
    "no request": b"\r\n" * 15,
    "half a head": b"POST / HTTP/1.1\r\nhost: x\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
}


@pytest.mark.parametrize("kind", NEVER_ASKING)
async def test_a_client_that_never_asks_is_not_waited_for(kind: str) -> None:
    async with listening(nothing, keep_alive_s=SHORT_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        end = asyncio.ensure_future(reader.read())
        for byte in NEVER_ASKING[kind]:  # one after another: what arrives is still no request
            writer.write(bytes([byte]))
            await asyncio.wait([end], timeout=SHORT_S / 8)
            if end.done():
                break
        with suppress(ConnectionResetError):  # a byte may arrive while the server closes the connection
            assert await asyncio.wait_for(end, TIMEOUT_S) == b""
        await close(writer)


async def test_heads_that_come_in_two_parts_are_read_as_long_as_they_come() -> None:
    n_requests, middle = 8, len(REQUEST) // 2
    async with listening(nothing, keep_alive_s=SHORT_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:middle])
        for _ in range(n_requests):
            await asyncio.sleep(SHORT_S / 3)
            writer.write(REQUEST[middle:] + REQUEST[:middle])
            async with asyncio.timeout(TIMEOUT_S):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await close(writer)


async def test_half_a_head_behind_them_ends_no_requests_that_are_being_answered() -> None:
    async with listening(late, keep_alive_s=SHORT_S) as port:
        answer = await answered(port, 2 * REQUEST + b"POST / HTT")
    assert answer.count(b"HTTP/1.1 200") == 2


async def gives_up(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that ends in the middle of its answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(MANY * 1000), "more_body": True})


async def large(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that answers at once with more than the kernel takes."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
    await send({"type": "http.response.body", "body": bytes(LARGE)})


@pytest.mark.parametrize(("app", "keep_alive_s"), [(large, SHORT_S), (gives_up, 60)])
async def test_a_client_that_never_reads_is_not_waited_for(app: Any, keep_alive_s: float) -> None:
    asked = asyncio.Event()

    async def observed(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await app(scope, receive, send)

    with closing(socket.socket()) as client:
        async with listening(observed, keep_alive_s=keep_alive_s) as port:
            client.connect(("127.0.0.1", port))
            client.sendall(REQUEST)
            await asyncio.wait_for(asked.wait(), TIMEOUT_S)
        # the server has let go of it, although nothing was read


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        async with listening(large, keep_alive_s=SHORT_S) as port:
            client.connect(("127.0.0.1", port))
            client.sendall(REQUEST)
            client.settimeout(TIMEOUT_S)
            n_read = 0
            while n_read < LARGE:
                await asyncio.sleep(SHORT_S / 40)
                piece = await asyncio.to_thread(client.recv, 2**16)
                assert piece, n_read
                n_read += len(piece)


async def test_nothing_is_read_while_pipelined_requests_wait() -> None:
    may_answer = asyncio.Semaphore(0)

    async def answer_later(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"body"
        async with asyncio.timeout(TIMEOUT_S):
            await may_answer.acquire()
        await nothing(scope, receive, send)

    config = uvicorn.Config(answer_later, ws="none", lifespan="off", log_config=None)
    state, transport = ServerState(), RecordingTransport()
    protocol = Protocol(config=config, server_state=state, app_state={})
    protocol.connection_made(transport)
    protocol.data_received(4 * REQUEST)
    is_read = []
    for _ in range(4):
        for _ in range(3):
            await asyncio.sleep(0)  # the application asks for the body
        is_read.append(transport.is_read)
        may_answer.release()
    while state.tasks:
        await asyncio.sleep(0)
    assert is_read == [False, False, False, True]
    assert statuses(transport.written) == [200] * 4
    protocol.connection_lost(None)


SPLIT = {
    "length": b"content-length: 31\r\n\r\nGET /hidden HTTP/1.1\r\nhost: x\r\n",
    "chunked": b"transfer-encoding: chunked\r\n\r\n1F\r\nGET /hidden HTTP/1.1\r\nhost: x\r\n\r\n0\r\nx: y\r\n\r\n",
    "nothing": b"content-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", SPLIT)
async def test_a_request_that_offers_an_upgrade_may_be_split_anywhere(kind: str) -> None:
    received: list[tuple[str, bytes]] = []

    async def record(scope: Any, receive: Any, send: Any) -> None:
        body, more_body = b"", True
        while more_body:
            message = await receive()
            body, more_body = body + message["body"], message["more_body"]
        received.append((scope["path"], body))
        await nothing(scope, receive, send)

    config = uvicorn.Config(record, ws="none", lifespan="off", log_config=None)
    offer = b"POST /first HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
    data = offer + SPLIT[kind] + REQUEST.replace(b"/encode", b"/second")
    hidden = b"" if kind == "nothing" else b"GET /hidden HTTP/1.1\r\nhost: x\r\n"
    for place in range(len(data)):
        received.clear()
        state, transport = ServerState(), RecordingTransport()
        protocol = Protocol(config=config, server_state=state, app_state={})
        protocol.connection_made(transport)
        for piece in (data[:place], data[place:]):
            protocol.data_received(piece)
            while state.tasks and not protocol.cycle.more_body:
                await asyncio.sleep(0)
        assert received == [("/first", hidden), ("/second", b"body")], place
        assert statuses(transport.written) == [200, 200]
        protocol.connection_lost(None)
