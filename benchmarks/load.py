"""A closed-loop load generator: N connections, each sending its next request when its last answer is in.

Requests are bytes prepared once and answers are only framed, not parsed, so that one core drives many thousand
requests a second. Runs in a process of its own: `python -m benchmarks.load < request.bin`.
"""

import asyncio
import json
import sys
import time
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


class _Connection(asyncio.Protocol):
    """Sends `request` again and again until `until` (`time.perf_counter`)."""

    def __init__(self, request: bytes, until: float) -> None:
        self._request, self._until = request, until
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.n_failed = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer."""
        now = time.perf_counter()
        if self._parser.get_status_code() == 200:
            self.latencies.append(now - self._sent_at)
        else:
            self.n_failed += 1
        self._parser = httptools.HttpResponseParser(self)
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


async def generate(port: int, request: bytes, *, n_connections: int, seconds: float) -> Load:
    """Send `request` to a server on this machine over `n_connections` for `seconds`."""
    loop = asyncio.get_running_loop()
    started_at = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda: _Connection(request, started_at + seconds), "127.0.0.1", port))[1]
        for _ in range(n_connections)
    ]
    await asyncio.gather(*(connection.closed for connection in connections))
    elapsed = time.perf_counter() - started_at
    latencies = sorted(latency for connection in connections for latency in connection.latencies)
    return Load(
        requests_per_s=len(latencies) / elapsed,
        p50_ms=_quantile(latencies, 0.50) * 1000,
        p95_ms=_quantile(latencies, 0.95) * 1000,
        p99_ms=_quantile(latencies, 0.99) * 1000,
        n_ok=len(latencies),
        n_failed=sum(connection.n_failed for connection in connections),
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
