"""The limit on open connections, and the memory of answers that their clients do not read."""

import asyncio
import json
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from app.concurrency import request_memory
from app.concurrency.request_memory import RequestMemory
from app.errors import ClientDisconnected
from app.http.context import RequestContext
from app.http.request_timer import RequestTimer
from app.process import unread
from app.process.connections import MAX_LEAVING, MIN_LEAVING, OTHER_FILES, OpenConnections, max_connections
from app.process.guard import load_protocol
from tests.app.process.listening import LAST_REQUEST, REQUEST, TIMEOUT_S, answered, close, listening, nothing, statuses

pytestmark = pytest.mark.anyio

LARGE = 2**23


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The server's own loop."""
    return "asyncio", {"use_uvloop": True}


def limited(limit: int, memory: RequestMemory | None = None) -> type[asyncio.Protocol]:
    protocol = load_protocol(OpenConnections(limit, memory))
    assert protocol != "auto"
    return protocol


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Send a request, and return the status of its answer."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    return statuses(head)[0]


async def test_at_the_limit_the_connection_that_was_idle_longest_is_closed() -> None:
    async with listening(nothing, limited(4)) as port, asyncio.timeout(TIMEOUT_S):
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        loop = asyncio.get_running_loop()
        for number in (0, 2, 3, 1):
            assert await ask(*connections[number]) == 200
            answered_at_s = loop.time()
            while loop.time() == answered_at_s:  # which has a resolution of a millisecond
                await asyncio.sleep(0)
        newest = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(*newest) == 200
        assert await connections[0][0].read() == b""
        for number in (1, 2, 3):
            assert await ask(*connections[number]) == 200
        for _, writer in (*connections, newest):
            await close(writer)


async def test_a_head_that_does_not_end_keeps_no_other_client_out() -> None:
    async with listening(nothing, limited(2)) as port, asyncio.timeout(TIMEOUT_S):
        halves = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        for _, writer in halves:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-half")
        assert statuses(await answered(port, LAST_REQUEST)) == [200]
        for _, writer in halves:
            await close(writer)


class Busy:
    """An application that answers when it may."""

    def __init__(self) -> None:
        self.n_running, self.may_answer = 0, asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.n_running += 1
        await self.may_answer.wait()
        await nothing(scope, receive, send)


async def test_a_connection_beyond_the_limit_is_refused_while_all_others_are_busy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, n_refused = Busy(), 5
    async with listening(app, limited(2)) as port, asyncio.timeout(TIMEOUT_S):
        waiting = [asyncio.ensure_future(answered(port, LAST_REQUEST)) for _ in range(2)]
        while app.n_running < 2:
            await asyncio.sleep(0.01)
        for _ in range(n_refused):
            head, _, body = (await answered(port, REQUEST)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"connection: close" in head
            assert b"retry-after: 1" in head
            assert json.loads(body)["type"] == "/errors/too-many-connections"
        app.may_answer.set()
        for answer in await asyncio.gather(*waiting):
            assert statuses(answer) == [200]
        assert statuses(await answered(port, LAST_REQUEST)) == [200]
    lines = [record for record in caplog.records if record.levelno >= logging.INFO and "connections" in record.message]
    assert len(lines) == 1
    assert not [record for record in caplog.records if record.name == "manifold.access"]


async def test_refused_connections_that_stay_open_are_few() -> None:
    app, protocol = Busy(), limited(4)
    shared: OpenConnections = protocol.shared  # type: ignore[attr-defined]
    async with listening(app, protocol) as port, asyncio.timeout(TIMEOUT_S):
        waiting = [asyncio.ensure_future(answered(port, LAST_REQUEST)) for _ in range(4)]
        while app.n_running < 4:
            await asyncio.sleep(0.01)
        refused, answers = [], []
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            refused.append(writer)
            with suppress(ConnectionResetError):
                answers += statuses(await reader.read(1000))
            assert shared.n_leaving <= 2 * MIN_LEAVING + 1
        app.may_answer.set()
        await asyncio.gather(*waiting)
        for writer in refused:
            await close(writer)
    assert answers == [503] * 20
    assert shared.n_leaving == 0


@pytest.mark.parametrize(
    ("soft", "hard", "expected", "raised"),
    [
        (100_000, 100_000, 4096, None),
        (1024, 100_000, 4096, 4096 + MAX_LEAVING + OTHER_FILES),
        (1024, resource.RLIM_INFINITY, 4096, 4096 + MAX_LEAVING + OTHER_FILES),
        (1024, 1024, 1024 - MAX_LEAVING - OTHER_FILES, 1024),
        (64, 64, 32, 64),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4096, None),
    ],
)
def test_connections_leave_room_for_other_files(
    soft: int, hard: int, expected: int, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    assert max_connections(4096) == expected
    assert limits == ([] if raised is None else [(raised, hard)])


class LongAnswers:
    """An application that claims the memory of its long answers."""

    def __init__(self, memory: RequestMemory, *, has_context: bool) -> None:
        self.memory, self.has_context = memory, has_context
        self.dropped = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        share, timer = self.memory.open_share(), RequestTimer(receive)
        if self.has_context:
            share.claim(LARGE)
            scope["state"]["context"] = RequestContext("id", {}, timer, share)
        try:
            with timer:
                headers = [(b"content-length", b"%d" % LARGE)]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": bytes(LARGE), "more_body": self.has_context})
                if self.has_context:
                    await send({"type": "http.response.body", "body": b""})
        except ClientDisconnected:
            self.dropped.set()
        finally:
            share.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_memory, "UNREAD_S", 0.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("has_context", [True, False], ids=["being sent", "handed over"])
async def test_an_answer_that_nobody_reads_makes_room_for_a_request(
    has_context: bool, caplog: pytest.LogCaptureFixture
) -> None:
    memory = RequestMemory(lambda: 4 * LARGE)
    app, loop = LongAnswers(memory, has_context=has_context), asyncio.get_running_loop()
    with ExitStack() as stack:
        async with listening(app, limited(100, memory)) as port:
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, REQUEST)
            await until(lambda: memory.n_bytes > LARGE // 4)
            needy = memory.open_share()
            needy.claim(3 * LARGE)
            await until(lambda: memory.n_bytes == 3 * LARGE)
        # the server has let go of the connection
    assert memory.n_dropped >= 1
    assert app.dropped.is_set() == has_context
    (line,) = [record.message for record in caplog.records if record.name == unread.__name__]
    assert "an answer that its client does not read is dropped" in line


@pytest.mark.usefixtures("at_once")
async def test_an_answer_that_is_read_stays_and_gives_its_memory_back() -> None:
    memory = RequestMemory(lambda: 4 * LARGE)
    app = LongAnswers(memory, has_context=True)
    async with listening(app, limited(100, memory)) as port, asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LAST_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert statuses(head) == [200]
        assert await reader.readexactly(LARGE) == bytes(LARGE)
        await close(writer)
        await until(lambda: memory.n_bytes == 0)
    assert memory.n_dropped == 0
