"""Many mixed requests to one server with all shipped models: does it lose any, does it grow, is it idle afterwards?

`python -m benchmarks.server.soak` starts the server and prints the report. Requests are the examples of the documentation,
items of random content and size, and bad ones; some clients leave before their answer is there.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import httpx
import numpy as np
import orjson
import psutil
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.routes.examples import EXAMPLES
from benchmarks.lib.servers import manifold
from benchmarks.server.load import Connection, connect, http_request
from models.codecs.arrays import to_npy

N_WARM = 20_000
"""Requests after which memory is first looked at."""
N_CLIENTS = 32
MAX_GROWTH = 0.03
WORDS = tuple(
    "the old dog ran home and a small red bird sang in green trees by night while rain fell on every roof".split()  # noqa: SIM905 a text is easier to read
)
MEAN_LOG_WORDS, DEVIATION_LOG_WORDS, MAX_WORDS = 3.1, 0.6, 100
PATIENCE_S = 60.0
N_LEAVING = 50
"""One in so many clients leaves without waiting."""


@dataclass(frozen=True)
class Asked:
    """A request, and the statuses that it may be answered with; those of overload are always allowed."""

    path: str
    request: bytes
    statuses: frozenset[int] = frozenset({200})

    @classmethod
    def of_json(cls, path: str, body: Any, *statuses: int) -> "Asked":
        """With JSON of this value."""
        content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return cls.of(path, content, "application/json", *statuses)

    @classmethod
    def of(cls, path: str, content: bytes, content_type: str, *statuses: int) -> "Asked":
        """With any body."""
        request = http_request(path, content, {"content-type": content_type})
        return cls(path, request, frozenset(statuses or {200}))


@dataclass
class Report:
    """What became of all requests; `wrong` are those with a status that the documentation does not name for them."""

    n_requests: int = 0
    n_left: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    rss_warm: int = 0
    rss_end: int = 0
    is_idle: bool = False
    is_ready: bool = False
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """Of resident memory, from warm to the end."""
        return self.rss_end / self.rss_warm - 1 if self.rss_warm else float("nan")

    @property
    def holds(self) -> bool:
        """Nothing wrong, nothing left behind, no growth beyond the limit."""
        return not self.wrong and self.is_idle and self.is_ready and not self.growth > MAX_GROWTH


def requests(seed: int) -> Iterator[Asked]:
    """Without end, by the seed."""
    draw = random.Random(seed)  # noqa: S311 no secret
    examples = [
        Asked.of_json(f"/{task.replace('_', '-')}", body) for task, bodies in EXAMPLES.items() for body in bodies
    ]
    kinds: list[Callable[[random.Random], Asked]] = [lambda draw: draw.choice(examples), _texts, _images, _bad]
    while True:
        yield draw.choices(kinds, weights=(2, 5, 5, 1))[0](draw)


def text(draw: random.Random) -> str:
    """Words in log-normal numbers."""
    n = min(MAX_WORDS, max(1, round(draw.lognormvariate(MEAN_LOG_WORDS, DEVIATION_LOG_WORDS))))
    return " ".join(draw.choices(WORDS, k=n))


def _texts(draw: random.Random) -> Asked:
    task, model = draw.choice(
        (("encode", "sentence-mini-en"), ("classify", "bert-sst2-en"), ("encode", "bert-mini-en"))
    )
    return Asked.of_json(f"/{task}", {"model": model, "inputs": [text(draw) for _ in range(draw.randint(1, 4))]})


def _images(draw: random.Random) -> Asked:
    pixels = np.random.default_rng(draw.getrandbits(32)).random((draw.randint(1, 8), 1, 28, 28), dtype=np.float32)
    task, model = draw.choice(
        (("reconstruct", "vanilla-ae-mnist"), ("encode", "vae-mnist"), ("denoise", "denoising-ae-mnist"))
    )
    if draw.random() < 0.5:
        return Asked.of_json(f"/{task}", {"model": model, "inputs": pixels.round(3)})
    return Asked.of(f"/{task}?model={model}", to_npy(pixels), "application/x-npy")


def _bad(draw: random.Random) -> Asked:
    bad = [
        Asked.of("/encode", b"{", "application/json", 400),
        Asked.of_json("/encode", {"model": "nobody", "inputs": ["x"]}, 404),
        Asked.of_json("/reconstruct", {"model": "vanilla-ae-mnist", "inputs": [[1, 2, 3]]}, 422),
        Asked.of_json("/classify", {"model": "bert-sst2-en", "inputs": ["word " * 3000]}, 422),
        Asked.of("/encode", b"hello", "text/plain", 415),
        Asked.of("/nothing", b"", "application/json", 404),
    ]
    return draw.choice(bad)


class _Client:
    """One request at a time over a connection, which is another one after it has left."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None

    async def ask(self, request: bytes, patience_s: float) -> tuple[int, bytes]:
        """The status and the body of the answer.

        Raises:
            TimeoutError: it did not come in time; the client has left.
            ConnectionError: the connection broke.
        """
        if self._connection is None or self._connection.lost.done():
            self._connection = await connect(self._port, self._hear)
        connection = self._connection
        self._answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        connection.send(request)
        try:
            async with asyncio.timeout(patience_s):
                await asyncio.wait((self._answer, connection.lost), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.close()
            raise
        if not self._answer.done():
            raise ConnectionError("the connection broke")
        return self._answer.result(), connection.body

    def close(self) -> None:
        """Whether or not an answer is still to come."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _hear(self, connection: Connection, status: int, seconds: float) -> None:
        if connection is self._connection:
            self._answer.set_result(status)


async def soak(port: int, process: psutil.Process, n_requests: int, n_warm: int, tell: Callable[[int], None]) -> Report:
    """Send them all from `N_CLIENTS` clients, then look at what is left in the server."""
    report, its, draw = Report(), requests(0), random.Random(1)  # noqa: S311 no secret
    loop = asyncio.get_running_loop()
    started_at = loop.time()

    async def visit() -> None:
        client = _Client(port)
        while report.n_requests < n_requests:
            report.n_requests += 1
            if report.n_requests == n_warm:
                report.rss_warm = process.memory_info().rss
            tell(report.n_requests)
            asked = next(its)
            is_leaving = draw.randrange(N_LEAVING) == 0
            patience = draw.uniform(0.001, 0.02) if is_leaving else PATIENCE_S
            try:
                status, body = await client.ask(asked.request, patience)
            except TimeoutError:
                if not is_leaving:
                    report.wrong.append(f"{asked.path}: no answer within {PATIENCE_S} s")
                report.n_left += 1
                continue
            except ConnectionError as error:
                report.wrong.append(f"{asked.path}: {error}")
                continue
            report.statuses[status] += 1
            if status not in asked.statuses | {429}:
                report.wrong.append(f"{asked.path}: {status} {body[:200].decode(errors='replace')}")
        client.close()

    await asyncio.gather(*(visit() for _ in range(N_CLIENTS)))
    await asyncio.sleep(2)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        models = (await http.get("/models")).json()["models"]
        report.is_idle = not any(model["queued_items"] or model["running_sequences"] for model in models)
        report.is_ready = (await http.get("/health/ready")).status_code == 200
    report.rss_end, report.seconds = process.memory_info().rss, loop.time() - started_at
    return report


@click.command()
@click.option("--requests", "n_requests", default=200_000, show_default=True)
@click.option("--warm", "n_warm", default=N_WARM, show_default=True, help="Requests before memory is first looked at.")
def main(n_requests: int, n_warm: int) -> None:
    """Send mixed requests to a server of its own; print what became of them as JSON; fail where one was lost."""
    columns = (TextColumn("requests"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with manifold() as server, Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=n_requests)
        process = psutil.Process(server.process_id)
        report = uvloop.run(
            soak(server.port, process, n_requests, n_warm, lambda n: progress.update(task, completed=n))
        )
    told = {
        "requests": report.n_requests,
        "seconds": round(report.seconds, 1),
        "left": report.n_left,
        "statuses": dict(sorted(report.statuses.items())),
        "wrong": report.wrong[:20],
        "resident MB after warming": round(report.rss_warm / 1e6, 1),
        "resident MB at the end": round(report.rss_end / 1e6, 1),
        "growth": round(report.growth, 4),
        "idle at the end": report.is_idle,
        "ready at the end": report.is_ready,
    }
    click.echo(json.dumps(told, indent=2))
    if not report.holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
