"""`/encode` at ten times what the server can do: `python -m benchmarks.server.overload`.

In turns: the peak, with as many connections as suffice for it; then requests at ten times that rate, whatever becomes
of them: how many good answers come a second, and how fast the others are refused. The load comes from the same cores:
the smaller the model, the more of them it takes to send and to refuse ten times as much.
"""

import asyncio
import json
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

import click
import uvloop
from rich.console import Console
from rich.progress import track

from benchmarks.lib.checkpoints import words, write
from benchmarks.lib.processor import spent_by
from benchmarks.lib.servers import Server, manifold
from benchmarks.lib.texts import lengths
from benchmarks.server.load import Connection, connect, http_request

T = TypeVar("T")

N_TEXTS, N_AT_PEAK, FACTOR = 2000, 64, 10.0
PROMPT_S = 0.1
"""A refusal within this is a prompt one."""
PATIENCE_S = 60.0
TICK_S = 0.002
"""Requests are sent, and answers read, in so long steps: to wake for each of them would cost more than that."""


@dataclass
class Answers:
    """When good ones came, in seconds from the start; how long refusals took; statuses; connections that broke."""

    started_at: float = field(default_factory=time.perf_counter)
    good_at: list[float] = field(default_factory=list)
    refused_in: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    n_broken: int = 0


async def ask(
    port: int, requests: Sequence[bytes], *, n_connections: int, rate: float | None, seconds: float
) -> Answers:
    """For `seconds`: `rate` requests a second, at random moments, or as many as the connections can carry if None.

    A request whose moment has come while all connections wait for an answer is sent when the next is free.
    """
    draw = random.Random(0)  # noqa: S311 no secret
    answers, free = Answers(), deque[Connection]()

    def take(connection: Connection, status: int, spent: float) -> None:
        now = time.perf_counter() - answers.started_at
        answers.statuses[status] += 1
        if status == 200:
            answers.good_at.append(now)
        else:
            answers.refused_in.append(spent)
        if rate is None and now < seconds:
            connection.send(draw.choice(requests))
        else:
            free.append(connection)

    connections = [await connect(port, take) for _ in range(n_connections)]
    answers.started_at = time.perf_counter()
    free.extend(connections)
    due = 0.0
    while (now := time.perf_counter() - answers.started_at) < seconds:
        while free and due <= now:
            due += draw.expovariate(rate) if rate else 0.0
            free.popleft().send(draw.choice(requests))
        time.sleep(TICK_S)  # not the loop's, which would wake for each answer
        for _ in range(2):  # turns: one reads what has come
            await asyncio.sleep(0)
    until = time.perf_counter() + PATIENCE_S
    while any(connection.is_waiting for connection in connections) and time.perf_counter() < until:
        await asyncio.sleep(0.05)
    answers.n_broken = sum(one.lost.done() and one.lost.result() for one in connections)
    for connection in connections:
        connection.close()
    return answers


def peak_of(port: int, requests: Sequence[bytes], seconds: float) -> float:
    """Good answers a second, with as many connections as suffice."""
    return _rate(uvloop.run(ask(port, requests, n_connections=N_AT_PEAK, rate=None, seconds=seconds)), seconds)


@dataclass(frozen=True)
class Round:
    """Good answers a second at the peak, and of ten times as many requests; what became of these."""

    peak: float
    good: float
    answers: Answers
    cores: dict[str, dict[str, float]]
    """By when and by whom: how many are busy."""

    @classmethod
    def of(cls, server: Server, requests: Sequence[bytes], n_connections: int, seconds: float) -> "Round":
        """For `seconds` each."""
        at_peak, peak = _busy(server, lambda: peak_of(server.port, requests, seconds))
        overload = ask(server.port, requests, n_connections=n_connections, rate=FACTOR * peak, seconds=seconds)
        at_overload, answers = _busy(server, lambda: uvloop.run(overload))
        return cls(peak, _rate(answers, seconds), answers, {"peak": at_peak, "ten times it": at_overload})


def _busy(server: Server, run: Callable[[], T]) -> tuple[dict[str, float], T]:
    """How many cores while it ran, and what it returned."""
    before, began, started_at = spent_by(server.process_id), time.process_time(), time.perf_counter()
    result = run()
    seconds, own = time.perf_counter() - started_at, time.process_time() - began
    spent = spent_by(server.process_id).since(before)
    its = {"workers": spent.all - spent.loop, "event loop": spent.loop, "client": own}
    return {name: its_s / seconds for name, its_s in its.items()}, result


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="Of the peak, and of the overload, in each round.")
@click.option("--rounds", "n_rounds", default=12, show_default=True, help="Of which the median is told.")
@click.option("--connections", default=1500, show_default=True, help="Of the overload.")
@click.option("--queue", default=64, show_default=True, help="Items that the server lets wait.")
@click.option("--shape", type=click.Choice(("minilm", "bert-base")), default="minilm", show_default=True)
@click.option("--dtype", default="bfloat16", show_default=True)
def main(seconds: float, n_rounds: int, connections: int, queue: int, shape: str, dtype: str) -> None:
    """Print the peak, and what became of ten times as many requests, as JSON."""
    texts = words(lengths(N_TEXTS))
    requests = [
        http_request(
            "/encode",
            json.dumps({"model": shape, "inputs": [text]}).encode(),
            {"content-type": "application/json"},
        )
        for text in texts
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = write(shape, Path(place) / shape)
        options = ("--models", shape, "--model", f"{shape}={folder}", "--dtype", dtype)
        limits = ("--max-queue-items", str(queue), "--max-items", str(queue))
        with manifold(*options, *limits) as server:
            peak_of(server.port, requests, seconds)  # warms up
            turns = track(range(n_rounds), "overload", console=Console(stderr=True))
            rounds = [Round.of(server, requests, connections, seconds) for _ in turns]
    refused = [spent for one in rounds for spent in one.answers.refused_in]
    told = {
        "shape": shape,
        "dtype": dtype,
        "peak, good answers a second": round(median(one.peak for one in rounds), 1),
        "asked a second": round(FACTOR * median(one.peak for one in rounds), 1),
        "good answers a second": round(median(one.good for one in rounds), 1),
        "good answers over the peak": round(median(one.good / one.peak for one in rounds), 3),
        "the same of each round": [round(one.good / one.peak, 3) for one in rounds],
        "cores that are busy at": {
            when: {name: round(median(one.cores[when][name] for one in rounds), 2) for name in its}
            for when, its in rounds[0].cores.items()
        },
        "refusals": len(refused),
        "share of refusals within 100 ms": round(sum(one < PROMPT_S for one in refused) / max(1, len(refused)), 4),
        "statuses": dict(sum((one.answers.statuses for one in rounds), Counter[int]())),
        "broken connections": sum(one.answers.n_broken for one in rounds),
    }
    click.echo(json.dumps(told, indent=2))


def _rate(answers: Answers, seconds: float) -> float:
    """Good answers a second while requests were sent."""
    return sum(at < seconds for at in answers.good_at) / seconds


if __name__ == "__main__":
    main()
