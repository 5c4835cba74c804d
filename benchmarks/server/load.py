"""Load generators that cost little: requests are bytes prepared once, and answers are framed and not parsed.

So one core drives many thousand requests a second.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop
from typing_extensions import override

from benchmarks.lib.statistics import quantile

DRAIN_TIMEOUT_S = 60.0
"""Longest wait for the last answers of an open loop."""
TICK_S = 0.002
"""Interval at which an open loop sends requests and reads answers; waking for each of them would cost more."""


def http_request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return the bytes of an HTTP/1.1 POST request."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """A client's connection that carries a request at a time.

    `on_answer` is called for each answer with the connection, the status and the seconds it took.
    """

    def __init__(self, on_answer: Callable[["Connection", int, float], None]) -> None:
        self._on_answer = on_answer
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._sent_at: float | None = None
        self._body_parts: list[bytes] = []
        self.body = b""
        """The body of the last answer."""
        self.closed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Resolved when the connection is closed, with whether an answer was missing."""

    @property
    def is_waiting(self) -> bool:
        """Return whether an answer is missing."""
        return self._sent_at is not None

    def send(self, request: bytes) -> None:
        """Send a request; the last answer must have arrived."""
        self._body_parts.clear()
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection, even if an answer is missing."""
        self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(self.is_waiting)

    def on_body(self, body: bytes) -> None:
        """Keep a part of an answer's body; called by the parser."""
        self._body_parts.append(body)

    def on_message_complete(self) -> None:
        """Report an answer; called by the parser."""
        if self._sent_at is None:
            raise RuntimeError("the server sent an answer without a request")
        seconds, self._sent_at = time.perf_counter() - self._sent_at, None
        self.body = b"".join(self._body_parts)
        self._on_answer(self, self._parser.get_status_code(), seconds)


async def connect(port: int, on_answer: Callable[[Connection, int, float], None]) -> Connection:
    """Open a connection to a server on this machine."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(on_answer), "127.0.0.1", port)
    return connection


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """Results of a closed loop. Latencies are of answers with status 200."""

    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    n_ok: int
    n_failed: int


async def closed_loop(port: int, request: bytes, *, n_connections: int, seconds: float) -> LoadResult:
    """Send a request over each connection as soon as its last answer has arrived, for a number of seconds."""
    latencies: list[float] = []
    n_failed = 0
    started_at = time.perf_counter()

    def send_next(connection: Connection, status: int, latency: float) -> None:
        nonlocal n_failed
        if status == 200:
            latencies.append(latency)
        else:
            n_failed += 1
        if time.perf_counter() < started_at + seconds:
            connection.send(request)
        else:
            connection.close()

    connections = [await connect(port, send_next) for _ in range(n_connections)]
    for connection in connections:
        connection.send(request)
    await asyncio.gather(*(connection.closed for connection in connections))
    elapsed = time.perf_counter() - started_at
    latencies.sort()
    return LoadResult(
        requests_per_second=len(latencies) / elapsed,
        p50_ms=quantile(latencies, 0.50) * 1000,
        p95_ms=quantile(latencies, 0.95) * 1000,
        p99_ms=quantile(latencies, 0.99) * 1000,
        n_ok=len(latencies),
        n_failed=n_failed,
    )


def run_closed_loop(port: int, request: bytes, *, n_connections: int, seconds: float) -> LoadResult:
    """Run `closed_loop` in an event loop of its own."""
    return uvloop.run(closed_loop(port, request, n_connections=n_connections, seconds=seconds))


@dataclass
class OpenLoopResult:
    """Results of an open loop: seconds from the start to each good answer, and seconds that each refusal took."""

    seconds: float
    started_at: float = field(default_factory=time.perf_counter)
    good_at: list[float] = field(default_factory=list)
    refused_after: list[float] = field(default_factory=list)
    n_by_status: Counter[int] = field(default_factory=Counter)
    n_broken_connections: int = 0

    @property
    def good_per_second(self) -> float:
        """Return the good answers a second while requests were sent."""
        return sum(at < self.seconds for at in self.good_at) / self.seconds


async def open_loop(
    port: int, requests: Sequence[bytes], *, n_connections: int, rate: float | None, seconds: float
) -> OpenLoopResult:
    """Send `rate` requests a second at random times, whatever becomes of them, for a number of seconds.

    A request that is due while all connections wait for an answer is sent when the next connection is free. If the
    rate is None, requests are sent as fast as the connections carry them.
    """
    draw = random.Random(0)  # noqa: S311 not a secret
    result, free = OpenLoopResult(seconds), deque[Connection]()

    def receive(connection: Connection, status: int, latency: float) -> None:
        now = time.perf_counter() - result.started_at
        result.n_by_status[status] += 1
        if status == 200:
            result.good_at.append(now)
        else:
            result.refused_after.append(latency)
        if rate is None and now < seconds:
            connection.send(draw.choice(requests))
        else:
            free.append(connection)

    connections = [await connect(port, receive) for _ in range(n_connections)]
    result.started_at = time.perf_counter()
    free.extend(connections)
    due_at = 0.0
    while (now := time.perf_counter() - result.started_at) < seconds:
        while free and due_at <= now:
            due_at += draw.expovariate(rate) if rate else 0.0
            free.popleft().send(draw.choice(requests))
        time.sleep(TICK_S)  # blocks on purpose: the event loop's sleep would wake for each answer
        for _ in range(2):  # two turns of the event loop read what has arrived
            await asyncio.sleep(0)
    await _drain(connections)
    result.n_broken_connections = sum(each.closed.done() and each.closed.result() for each in connections)
    for connection in connections:
        connection.close()
    return result


async def _drain(connections: Sequence[Connection]) -> None:
    deadline = time.perf_counter() + DRAIN_TIMEOUT_S
    while any(connection.is_waiting for connection in connections) and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
