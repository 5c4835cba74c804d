"""What the protocol adds to uvicorn's, on a real socket: answers in one write, and clients that never read."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from itertools import product
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.door import Verdict
from app.protocol import MAX_HEAD_BYTES, Protocol

pytestmark = pytest.mark.anyio

TIMEOUT_S = 10
MANY = 20_000
REQUEST = b"POST /encode HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that answers with an empty body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def listening(
    app: Any,
    protocol: type[asyncio.Protocol] = Protocol,
    *,
    verdict: bytes | Verdict = Verdict.LET_IN,
    keep_alive_s: float = 5,
) -> AsyncIterator[int]:
    """Behind a door that says the same of every request; on which port. At the end, nobody may be connected."""
    app.state = SimpleNamespace(door=SimpleNamespace(is_watched=True, visit=int, verdict=lambda *_: verdict))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_config=None, date_header=False)
    )
    server.config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment] # a fraction serves as well
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
        async with asyncio.timeout(TIMEOUT_S):
            while server.server_state.connections:
                await asyncio.sleep(0.01)
    finally:
        server.should_exit = server.force_exit = True
        await serving


async def answered(port: int, request: bytes) -> bytes:
    """All that comes back until the connection ends."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
    return answer


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
    "expects": REQUEST.replace(b"host: x", b"expect: 100-continue"),
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
    async def told_by(protocol: type[asyncio.Protocol]) -> dict[tuple[str, ...], bytes]:
        told: dict[tuple[str, ...], bytes] = {}
        async with listening(varied, protocol) as port:
            for start, body, length, kind in product(STARTS, BODIES, LENGTHS, REQUESTS):
                path = quote(f"/{start}/{body}/{length}").encode()
                both = REQUESTS[kind] + REQUEST.replace(b"host: x", b"connection: close")
                told[start, body, length, kind] = await answered(port, both.replace(b"/encode", path))
        return told

    assert await told_by(Protocol) == await told_by(HttpToolsProtocol)


async def test_a_plain_answer_is_one_write() -> None:
    spies: list[Mock] = []

    class Spied(Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            spies.append(Mock(wraps=transport))
            super().connection_made(spies[-1])

    async with listening(nothing, Spied) as port:
        await answered(port, REQUEST + REQUEST + REQUEST.replace(b"host: x", b"connection: close"))
    assert len(spies[0].write.mock_calls) == 1 + 1 + 2


async def test_a_client_that_never_reads_is_read_no_more() -> None:
    refusal = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 10000\r\n\r\n" + bytes(10_000)
    request = REQUEST.replace(b"host: x", b"host: " + b"x" * 1000)
    loop, n_sent = asyncio.get_running_loop(), 0
    async with listening(nothing, verdict=refusal) as port:
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


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 2 * MAX_HEAD_BYTES, b"431"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 2 * MAX_HEAD_BYTES, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"x: a\r\n" * MAX_HEAD_BYTES, b"431"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"a" * 9 * MAX_HEAD_BYTES, b"200"),
    ],
    ids=["path", "header", "headers", "trailer"],
)
async def test_a_head_without_end_is_refused(request_: bytes, status: bytes) -> None:
    async with listening(nothing) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = b""
        with suppress(ConnectionError):
            for start in range(0, len(request_), 2**14):
                writer.write(request_[start : start + 2**14])
                await writer.drain()
                await asyncio.sleep(0.001)  # or it would come in one piece
            answer = await asyncio.wait_for(reader.read(), TIMEOUT_S)
        writer.close()
    assert not answer or answer.startswith(b"HTTP/1.1 " + status)
    if b"431" in answer:
        assert f"more than {MAX_HEAD_BYTES} bytes".encode() in answer
        assert b"/errors/head-too-large" in answer


@pytest.mark.parametrize("pieces", [b"", b"\r", b"POST / HTTP/1.1\r\nhost: x\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])
async def test_a_client_that_never_asks_is_not_waited_for(pieces: bytes) -> None:
    async with listening(nothing, keep_alive_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started_at = time.monotonic()
        gone = asyncio.ensure_future(reader.read())
        for piece in pieces:  # one byte after another: it still does not ask
            writer.write(bytes([piece]))
            await asyncio.sleep(0.05)
            if gone.done():
                break
        assert await asyncio.wait_for(gone, TIMEOUT_S) == b""
        assert 0.25 < time.monotonic() - started_at < 2
        writer.close()


async def endless(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that answers as long as it is let."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
        await asyncio.sleep(0)


async def gives_up(_scope: Any, _receive: Any, send: Any) -> None:
    """One that ends in the middle of its answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(MANY * 1000), "more_body": True})


@pytest.mark.parametrize(("app", "keep_alive_s"), [(endless, 0.3), (gives_up, 60)])
async def test_a_client_that_never_reads_is_not_waited_for(app: Any, keep_alive_s: float) -> None:
    with closing(socket.socket()) as client:
        async with listening(app, keep_alive_s=keep_alive_s) as port:
            client.connect(("127.0.0.1", port))
            client.sendall(REQUEST)
            await asyncio.sleep(0.1)
        # the server has let go of it, although nothing was read
