"""Clients that leave are noticed, whatever they have sent; those that have only stopped sending are answered."""

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.process import peer
from tests.app.process.listening import REQUEST, TIMEOUT_S, close, listening, nothing, statuses

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not report the end of what is not read"),
]

OLD_REQUEST = REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The server's own loop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "CHECK_S", 0.01)
    monkeypatch.setattr(peer, "CHECK_AGAIN_S", 0.02)


class Application:
    """An application that answers once it may, and notes when it receives a request and when the client has left."""

    def __init__(self) -> None:
        self.received, self.may_answer, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            while (await receive())["more_body"]:
                pass
        self.received.set()
        waiting = asyncio.ensure_future(self.may_answer.wait())
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if leaving.done():
            assert leaving.result() == {"type": "http.disconnect"}
            self.left.set()
            return
        leaving.cancel()
        await nothing(scope, receive, send)


@asynccontextmanager
async def waiting_client(app: Application, data: bytes) -> AsyncIterator[socket.socket]:
    """A client whose first request the application has received; the server then lets go of every connection."""
    with socket.socket() as client:
        async with listening(app) as port:
            loop = asyncio.get_running_loop()
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, data)
            async with asyncio.timeout(TIMEOUT_S):
                await app.received.wait()
                yield client


PIPELINES = {
    "no request": b"",
    "one request": REQUEST,
    "half a request": b"GET / HT",
    "more requests than are parsed": 100 * REQUEST,
    "more than is read at a time": 20_000 * REQUEST,
}


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", PIPELINES)
async def test_a_client_that_leaves_is_noticed_with_anything_behind_its_request(kind: str, is_reset: bool) -> None:
    app = Application()
    with socket.socket() as client:
        client.setblocking(False)
        async with listening(app) as port:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            sending = asyncio.ensure_future(loop.sock_sendall(client, REQUEST + PIPELINES[kind]))
            async with asyncio.timeout(TIMEOUT_S):
                await app.received.wait()
                await asyncio.wait([sending], timeout=0.1)  # the kernel takes only a part of the last kind
                sending.cancel()
                if is_reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                await app.left.wait()


async def test_clients_that_leave_one_after_another_are_noticed() -> None:
    for _ in range(3):
        app = Application()
        async with waiting_client(app, 2 * REQUEST) as client, waiting_client(Application(), 2 * REQUEST) as other:
            client.close()
            await app.left.wait()
            other.close()


async def read_to_end(client: socket.socket) -> bytes:
    loop, answer = asyncio.get_running_loop(), b""
    while piece := await loop.sock_recv(client, 2**16):
        answer += piece
    return answer


@pytest.mark.parametrize("n_requests", [1, 2, 100])
async def test_a_client_that_has_stopped_sending_gets_all_its_answers(n_requests: int) -> None:
    app = Application()
    async with waiting_client(app, n_requests * REQUEST) as client:
        client.shutdown(socket.SHUT_WR)
        loop = asyncio.get_running_loop()
        interim = await loop.sock_recv(client, len(peer.INTERIM_ANSWER))
        assert interim == peer.INTERIM_ANSWER
        app.may_answer.set()
        answer = await read_to_end(client)
    assert [status for status in statuses(answer) if status != 100] == [200] * n_requests
    assert not app.left.is_set()


async def test_a_prompt_answer_to_a_client_that_has_stopped_sending_is_all_that_it_gets() -> None:
    async with listening(nothing) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(3 * REQUEST)
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            assert statuses(await reader.read()) == [200] * 3
        await close(writer)


@pytest.mark.parametrize("n_requests", [1, 2])
async def test_a_client_that_leaves_after_it_has_stopped_sending_is_noticed(n_requests: int) -> None:
    app = Application()
    async with waiting_client(app, n_requests * REQUEST) as client:
        client.shutdown(socket.SHUT_WR)
        assert await asyncio.get_running_loop().sock_recv(client, 1000) == peer.INTERIM_ANSWER
        client.close()
        await app.left.wait()


async def test_a_client_of_http_1_0_that_has_stopped_sending_is_taken_as_gone() -> None:
    app = Application()
    async with waiting_client(app, OLD_REQUEST) as client:
        client.shutdown(socket.SHUT_WR)
        await app.left.wait()
        assert await read_to_end(client) == b""


async def test_a_client_that_stops_within_its_body_is_gone() -> None:
    left = asyncio.Event()

    async def receive_all(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with listening(receive_all) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:-1])
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            await left.wait()
        await close(writer)


async def test_what_is_refused_behind_a_request_is_refused_after_sending_has_stopped() -> None:
    app = Application()
    async with waiting_client(app, REQUEST + b"no request\r\n\r\n") as client:
        client.shutdown(socket.SHUT_WR)
        app.may_answer.set()
        answer = await read_to_end(client)
    assert [status for status in statuses(answer) if status != 100] == [200, 400]
