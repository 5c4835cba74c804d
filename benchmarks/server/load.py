"""Connections that cost little, and a closed-loop load of them: each sends its next request when its last answer is in.

Requests are bytes prepared once and answers are only framed, not parsed, so that one core drives many thousand
requests a second. Runs in a process of its own: `python -m benchmarks.server.load < request.bin`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import cast

import click
import httptools
import uvloop


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a run measured. Latencies are of answers with status 200."""

    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    n_ok: int
    n_failed: int


def http_request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of one HTTP/1.1 POST request."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One request at a time. `on_answer` is called with this connection, the status and the seconds of each answer."""

    def __init__(self, on_answer: Callable[["Connection", int, float], None]) -> None:
        self._on_answer = on_answer
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._sent_at: float | None = None
        self._parts: list[bytes] = []
        self.lost: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Once the connection is closed: whether an answer was still to come."""

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self._sent_at is not None

    @property
    def body(self) -> bytes:
        """Of the last answer."""
        return b"".join(self._parts)

    def send(self, request: bytes) -> None:
        """Only when the last answer is there."""
        self._parts.clear()
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """Whether or not an answer is still to come."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if not self.lost.done():
            self.lost.set_result(self.is_waiting)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer."""
        assert self._sent_at is not None  # noqa: S101 only what is asked is answered
        seconds, self._sent_at = time.perf_counter() - self._sent_at, None
        self._on_answer(self, self._parser.get_status_code(), seconds)


async def connect(port: int, on_answer: Callable[[Connection, int, float], None]) -> Connection:
    """To a server on this machine."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(on_answer), "127.0.0.1", port)
    return connection


async def generate(port: int, request: bytes, *, n_connections: int, seconds: float) -> Load:
    """Send `request` to a server on this machine over `n_connections` for `seconds`."""
    latencies: list[float] = []
    n_failed = 0
    started_at = time.perf_counter()

    def again(connection: Connection, status: int, spent: float) -> None:
        nonlocal n_failed
        if status == 200:
            latencies.append(spent)
        else:
            n_failed += 1
        if time.perf_counter() < started_at + seconds:
            connection.send(request)
        else:
            connection.close()

    connections = [await connect(port, again) for _ in range(n_connections)]
    for connection in connections:
        connection.send(request)
    await asyncio.gather(*(connection.lost for connection in connections))
    elapsed = time.perf_counter() - started_at
    latencies.sort()
    return Load(
        requests_per_s=len(latencies) / elapsed,
        p50_ms=_quantile(latencies, 0.50) * 1000,
        p95_ms=_quantile(latencies, 0.95) * 1000,
        p99_ms=_quantile(latencies, 0.99) * 1000,
        n_ok=len(latencies),
        n_failed=n_failed,
    )


def _quantile(ordered: list[float], fraction: float) -> float:
    return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] if ordered else float("nan")


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--connections", type=int, default=32, show_default=True)
@click.option("--seconds", type=float, default=5.0, show_default=True)
def main(port: int, connections: int, seconds: float) -> None:
    """Send the request on standard input again and again; print the result as JSON."""
    request = sys.stdin.buffer.read()
    result = uvloop.run(generate(port, request, n_connections=connections, seconds=seconds))
    click.echo(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
