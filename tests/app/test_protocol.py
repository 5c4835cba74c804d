"""What the protocol adds to uvicorn's, on a real socket: answers in one message, and clients that never read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from app.door import Verdict
from app.protocol import Protocol
from app.streaming import WHOLE

pytestmark = pytest.mark.anyio

TIMEOUT_S = 10
MANY = 20_000
REQUEST = b"POST /encode HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


@asynccontextmanager
async def listening(app: Any, *, verdict: bytes | Verdict = Verdict.LET_IN) -> AsyncIterator[int]:
    """Behind a door that says the same of every request; on which port."""
    app.state = SimpleNamespace(door=SimpleNamespace(is_watched=True, visit=int, verdict=lambda *_: verdict))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=Protocol, lifespan="off", log_config=None, date_header=False)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
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


@settings(max_examples=15, deadline=None)
@given(
    status=st.sampled_from([200, 404, 429]),
    headers=st.dictionaries(
        st.from_regex(rb"x-[a-z0-9-]{1,8}", fullmatch=True), st.binary(max_size=8).map(lambda some: some.hex().encode())
    ).map(lambda some: list(some.items())),
    closes=st.booleans(),
    body=st.binary(max_size=100),
    request=st.sampled_from([REQUEST, REQUEST.replace(b"/1.1", b"/1.0"), REQUEST.replace(b"POST", b"HEAD")]),
)
def test_an_answer_in_one_message_is_that_in_two(
    status: int, headers: list[tuple[bytes, bytes]], closes: bool, body: bytes, request: bytes
) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body)), *([(b"connection", b"close")] if closes else [])]
    n_answers = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        n_answers.append(scope["path"])
        if scope["path"] == "/one":
            assert WHOLE in scope["extensions"]
            await send({"type": WHOLE, "status": status, "headers": headers, "body": body})
        else:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def both() -> None:
        last = REQUEST.replace(b"host: x", b"connection: close")
        async with listening(app) as port:
            one, two = [await answered(port, (request + last).replace(b"/encode", path)) for path in (b"/one", b"/two")]
        assert one == two
        assert one.count(b"HTTP/1.1 %d " % status) == len(n_answers) / 2 == (1 if closes or b"/1.0" in request else 2)

    asyncio.run(both())


async def test_no_header_has_a_second_line() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"x-model", b"mine\r\nset-cookie: a=b"), (b"content-length", b"0")]
        await send({"type": WHOLE, "status": 200, "headers": headers, "body": b""})

    async with listening(app) as port:
        answer = await answered(port, REQUEST)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer


async def test_a_client_that_never_reads_is_read_no_more() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": WHOLE, "status": 200, "headers": [(b"content-length", b"0")], "body": b""})

    refusal = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 10000\r\n\r\n" + bytes(10_000)
    request = REQUEST.replace(b"host: x", b"host: " + b"x" * 1000)
    loop, n_sent = asyncio.get_running_loop(), 0
    async with listening(app, verdict=refusal) as port:
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
