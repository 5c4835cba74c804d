"""A small HTTP/1.1 client: requests are bytes, and answers are framed but not interpreted.

It sends what a proper client never would, and costs little, so that one core drives many thousand requests a second.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from typing_extensions import override

HOST = "127.0.0.1"
HEAD_END, CHUNKED = b"\r\n\r\n", b"\r\ntransfer-encoding: chunked"
CHUNK_OF_READING = 2**18
"""Most bytes that one system call reads."""


def http_request(
    path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> bytes:
    """Return the bytes of an HTTP/1.1 request. Without a body, it has no content length."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + HEAD_END + (body or b"")


LIVE = http_request("/health/live", method="GET")
"""A request that asks whether the process answers at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `head` is the status line and the headers, as they were sent."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header, whose name is given in small letters; None if it is missing."""
        at = self.head.lower().find(f"\r\n{name}:".encode())
        if at < 0:
            return None
        start = at + len(name) + 3
        end = self.head.find(b"\r\n", start)
        return self.head[start : end if end >= 0 else None].strip().decode("latin-1")


class AnswerParser:
    """Finds the answers in the bytes that a connection brings. Interim answers (status 1xx) are skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: bytes | None = None
        self._length: int | None = None  # of the body; None where it is chunked
        self._chunks: list[bytes] = []

    @property
    def is_between_answers(self) -> bool:
        """Return whether no part of an answer has arrived that is not complete."""
        return self._head is None and not self._buffer

    def feed(self, data: bytes) -> list[Answer]:
        """Return the answers that are complete with these bytes, in order.

        Raises:
            ValueError: The bytes are no answers of HTTP/1.1.
        """
        self._buffer += data
        answers = []
        while (answer := self._next()) is not None:
            if answer.status >= 200:
                answers.append(answer)
        return answers

    def _next(self) -> Answer | None:
        if self._head is None and not self._read_head():
            return None
        body = self._read_chunks() if self._length is None else self._read_exactly(self._length)
        if body is None:
            return None
        head, self._head = cast("bytes", self._head), None
        return Answer(int(head[9:12]), head, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return False
        head = self._head = bytes(self._buffer[:end])
        del self._buffer[: end + len(HEAD_END)]
        if not head.startswith(b"HTTP/1."):
            raise ValueError(f"the server sent {head[:40]!r} in place of an answer")
        lower = head.lower()
        if CHUNKED in lower:
            self._length, self._chunks = None, []
            return True
        at = lower.find(b"\r\ncontent-length:")
        self._length = 0 if at < 0 else int(lower[at + 17 :].partition(b"\r\n")[0])
        return True

    def _read_exactly(self, n: int) -> bytes | None:
        if len(self._buffer) < n:
            return None
        body = bytes(self._buffer[:n])
        del self._buffer[:n]
        return body

    def _read_chunks(self) -> bytes | None:
        """Return the body once its last chunk has arrived."""
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = int(self._buffer[:end].partition(b";")[0], 16)
            if len(self._buffer) < end + size + 4:
                return None
            self._chunks.append(bytes(self._buffer[end + 2 : end + 2 + size]))
            del self._buffer[: end + size + 4]
            if size == 0:
                return b"".join(self._chunks)
        return None


class BlockingConnection:
    """A connection whose calls wait, for clients that misbehave step by step."""

    def __init__(self, port: int, *, timeout_s: float = 30.0, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect((HOST, port))
        except BaseException:
            self.socket.close()
            raise
        self._parser, self._waiting = AnswerParser(), list[Answer]()

    def __enter__(self) -> "BlockingConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes, whether they are a whole request or not."""
        self.socket.sendall(data)

    def receive(self) -> Answer:
        """Return the next answer.

        Raises:
            TimeoutError: It did not come in time.
            ConnectionError: The server closed the connection.
        """
        while not self._waiting:
            data = self.socket.recv(CHUNK_OF_READING)
            if not data:
                raise ConnectionError("the server closed the connection without an answer")
            self._waiting += self._parser.feed(data)
        return self._waiting.pop(0)

    def ask(self, request: bytes) -> Answer:
        """Send a request, and return the next answer; raises what `receive` raises.

        A server may answer and close before it has read all. That answer is returned.
        """
        try:
            self.send(request)
        except (BrokenPipeError, ConnectionResetError):
            return self.receive()
        return self.receive()

    def close(self) -> None:
        """Close the connection, even if an answer is missing."""
        self.socket.close()


class Connection(asyncio.Protocol):
    """A connection of an event loop that carries a request at a time.

    `on_answer` is called for each answer with the connection, the answer and the seconds it took.
    """

    def __init__(self, on_answer: Callable[["Connection", Answer, float], None]) -> None:
        self._on_answer = on_answer
        self._parser = AnswerParser()
        self._transport: asyncio.Transport
        self._sent_at: float | None = None
        self.n_unasked = 0
        """How many answers came without a request."""
        self.closed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Resolved when the connection is closed, with whether an answer was missing."""

    @property
    def is_waiting(self) -> bool:
        """Return whether an answer is missing."""
        return self._sent_at is not None

    def send(self, request: bytes) -> None:
        """Send a request; the last answer must have arrived."""
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection, even if an answer is missing or the request is not sent; `closed` tells when it is."""
        self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        for answer in self._parser.feed(data):
            if self._sent_at is None:
                self.n_unasked += 1
                raise RuntimeError("the server sent an answer without a request")
            seconds, self._sent_at = time.perf_counter() - self._sent_at, None
            self._on_answer(self, answer, seconds)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(self.is_waiting)


async def connect(port: int, on_answer: Callable[[Connection, Answer, float], None]) -> Connection:
    """Open a connection to a server on this machine."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(on_answer), HOST, port)
    return connection


class Client:
    """A client of an event loop. It sends a request at a time, and opens another connection after it has left one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None
        self._answer: asyncio.Future[Answer]

    async def send(self, request: bytes, timeout_s: float) -> Answer:
        """Return the answer.

        Raises:
            TimeoutError: The answer did not come in time, and the client has closed the connection.
            OSError: The server has closed the connection, or accepts none.
        """
        if self._connection is not None and self._connection.n_unasked:
            raise ConnectionError("the server sent an answer that nobody asked for")
        if self._connection is None or self._connection.closed.done():
            self._connection = await connect(self._port, self._receive)
        connection = self._connection
        self._answer = asyncio.get_running_loop().create_future()
        connection.send(request)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.wait((self._answer, connection.closed), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.close()
            raise
        if not self._answer.done():
            raise ConnectionError("the server closed the connection without an answer")
        return self._answer.result()

    def close(self) -> None:
        """Close the connection, even if an answer is missing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _receive(self, connection: Connection, answer: Answer, seconds: float) -> None:
        if connection is self._connection and not self._answer.done():
            self._answer.set_result(answer)
