"""`/encode` at ten times what the server can do: `python -m benchmarks.overload`.

First the peak, with as many connections as suffice for it; then requests at ten times that rate, whatever becomes of
them: how many good answers come a second, and how fast the others are refused.
"""

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import click
import httptools
import uvloop
from rich.console import Console

from benchmarks.lengths import lengths
from benchmarks.load import http_request
from benchmarks.servers import manifold
from benchmarks.shapes import words, write

N_TEXTS, N_AT_PEAK, FACTOR = 2000, 64, 10.0
PROMPT_S = 0.1
"""A refusal within this is a prompt one."""
PATIENCE_S = 60.0


@dataclass
class Answers:
    """When good ones came, in seconds from the start; how long refusals took; statuses; connections that broke."""

    started_at: float = field(default_factory=time.perf_counter)
    good_at: list[float] = field(default_factory=list)
    refused_in: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    n_broken: int = 0


class _Connection(asyncio.Protocol):
    """One request at a time; `free` is where it goes when its answer is in."""

    def __init__(self, answers: Answers, free: "asyncio.Queue[_Connection]") -> None:
        self._answers, self._free = answers, free
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._sent_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._free.put_nowait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answers.n_broken += self._sent_at is not None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer."""
        now, status = time.perf_counter(), self._parser.get_status_code()
        assert self._sent_at is not None  # noqa: S101 only what is asked is answered
        self._answers.statuses[status] += 1
        if status == 200:
            self._answers.good_at.append(now - self._answers.started_at)
        else:
            self._answers.refused_in.append(now - self._sent_at)
        self._parser, self._sent_at = httptools.HttpResponseParser(self), None
        self._free.put_nowait(self)

    @property
    def is_waiting(self) -> bool:
        """Whether its answer is still to come."""
        return self._sent_at is not None

    def send(self, request: bytes) -> None:
        """Only when it is free."""
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """Whether or not its answer is there."""
        self._sent_at = None
        self._transport.close()


async def ask(
    port: int, requests: Sequence[bytes], *, n_connections: int, rate: float | None, seconds: float
) -> Answers:
    """For `seconds`: `rate` requests a second, at random moments, or as many as the connections can carry if None.

    A request whose moment has come while all connections wait for an answer is sent when the next is free.
    """
    loop, draw = asyncio.get_running_loop(), random.Random(0)  # noqa: S311 no secret
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    answers = Answers()
    connections = [
        (await loop.create_connection(lambda: _Connection(answers, free), "127.0.0.1", port))[1]
        for _ in range(n_connections)
    ]
    answers.started_at = due = time.perf_counter()
    while due < answers.started_at + seconds:
        connection = await free.get()
        if rate is not None:
            due += draw.expovariate(rate)
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
        else:
            due = time.perf_counter()
        connection.send(draw.choice(requests))
    until = time.perf_counter() + PATIENCE_S
    while any(connection.is_waiting for connection in connections) and time.perf_counter() < until:
        await asyncio.sleep(0.05)
    for connection in connections:
        connection.close()
    return answers


@click.command()
@click.option("--seconds", default=15.0, show_default=True, help="Of the peak, and of the overload.")
@click.option("--connections", default=1500, show_default=True, help="Of the overload.")
@click.option("--queue", default=64, show_default=True, help="Items that the server lets wait.")
@click.option("--dtype", default="bfloat16", show_default=True)
def main(seconds: float, connections: int, queue: int, dtype: str) -> None:
    """Print the peak, and what became of ten times as many requests, as JSON."""
    texts = words(lengths(N_TEXTS))
    requests = [
        http_request(
            "/encode",
            json.dumps({"model": "minilm", "inputs": [text]}).encode(),
            {"content-type": "application/json"},
        )
        for text in texts
    ]
    with tempfile.TemporaryDirectory() as place, Console(stderr=True).status("overload"):
        folder = write("minilm", Path(place) / "minilm")
        options = ("--models", "minilm", "--model", f"minilm={folder}", "--dtype", dtype)
        limits = ("--max-queue-items", str(queue), "--max-items", str(queue))
        with manifold(*options, *limits) as server:
            for _ in range(2):  # the first one warms up
                calm = uvloop.run(ask(server.port, requests, n_connections=N_AT_PEAK, rate=None, seconds=seconds))
            peak = _rate(calm, seconds)
            answers = uvloop.run(
                ask(server.port, requests, n_connections=connections, rate=FACTOR * peak, seconds=seconds)
            )
    refused = answers.refused_in
    told = {
        "peak, good answers a second": round(peak, 1),
        "asked a second": round(FACTOR * peak, 1),
        "good answers a second": round(_rate(answers, seconds), 1),
        "good answers over the peak": round(_rate(answers, seconds) / peak, 3),
        "refusals": len(refused),
        "share of refusals within 100 ms": round(sum(one < PROMPT_S for one in refused) / max(1, len(refused)), 4),
        "statuses": dict(answers.statuses),
        "broken connections": answers.n_broken,
    }
    click.echo(json.dumps(told, indent=2))


def _rate(answers: Answers, seconds: float) -> float:
    """Good answers a second while requests were sent."""
    return sum(at < seconds for at in answers.good_at) / seconds


if __name__ == "__main__":
    main()
