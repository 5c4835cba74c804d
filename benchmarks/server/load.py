"""Load generators that cost little, because each request is bytes that were prepared once."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop

from benchmarks.lib.statistics import quantile
from benchmarks.server.http_client import Answer, Connection, connect

DRAIN_TIMEOUT_S = 60.0
"""Longest wait for the last answers of an open loop."""
TICK_S = 0.002
"""Interval at which an open loop sends requests and reads answers; waking for each of them would cost more."""


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

    def send_next(connection: Connection, answer: Answer, latency: float) -> None:
        nonlocal n_failed
        if answer.status == 200:
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

    def receive(connection: Connection, answer: Answer, latency: float) -> None:
        now = time.perf_counter() - result.started_at
        result.n_by_status[answer.status] += 1
        if answer.status == 200:
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
    await asyncio.gather(*(connection.closed for connection in connections))
    return result


async def _drain(connections: Sequence[Connection]) -> None:
    deadline = time.perf_counter() + DRAIN_TIMEOUT_S
    while any(connection.is_waiting for connection in connections) and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
