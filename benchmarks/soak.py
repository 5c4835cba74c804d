"""Many mixed requests to one server with all shipped models: does it lose any, does it grow, is it idle afterwards?

`python -m benchmarks.soak` starts the server and prints the report. Requests are the examples of the documentation,
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
import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.routes.examples import EXAMPLES
from benchmarks.servers import manifold
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
    arguments: dict[str, Any]
    statuses: frozenset[int] = frozenset({200})


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
        Asked(f"/{task.replace('_', '-')}", {"json": body}) for task, bodies in EXAMPLES.items() for body in bodies
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
    return Asked(f"/{task}", {"json": {"model": model, "inputs": [text(draw) for _ in range(draw.randint(1, 4))]}})


def _images(draw: random.Random) -> Asked:
    pixels = np.random.default_rng(draw.getrandbits(32)).random((draw.randint(1, 8), 1, 28, 28), dtype=np.float32)
    task, model = draw.choice(
        (("reconstruct", "vanilla-ae-mnist"), ("encode", "vae-mnist"), ("denoise", "denoising-ae-mnist"))
    )
    if draw.random() < 0.5:
        return Asked(f"/{task}", {"json": {"model": model, "inputs": pixels.round(3).tolist()}})
    return Asked(
        f"/{task}?model={model}", {"content": to_npy(pixels), "headers": {"content-type": "application/x-npy"}}
    )


def _bad(draw: random.Random) -> Asked:
    bad = [
        Asked("/encode", {"content": b"{", "headers": {"content-type": "application/json"}}, frozenset({400})),
        Asked("/encode", {"json": {"model": "nobody", "inputs": ["x"]}}, frozenset({404})),
        Asked("/reconstruct", {"json": {"model": "vanilla-ae-mnist", "inputs": [[1, 2, 3]]}}, frozenset({422})),
        Asked("/classify", {"json": {"model": "bert-sst2-en", "inputs": ["word " * 3000]}}, frozenset({422})),
        Asked("/encode", {"content": b"hello", "headers": {"content-type": "text/plain"}}, frozenset({415})),
        Asked("/nothing", {}, frozenset({404})),
    ]
    return draw.choice(bad)


async def soak(url: str, process: psutil.Process, n_requests: int, n_warm: int, tell: Callable[[int], None]) -> Report:
    """Send them all from `N_CLIENTS` clients, then look at what is left in the server."""
    report, its, draw = Report(), requests(0), random.Random(1)  # noqa: S311 no secret
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    limits = httpx.Limits(max_connections=N_CLIENTS)

    async def client(http: httpx.AsyncClient) -> None:
        while report.n_requests < n_requests:
            report.n_requests += 1
            if report.n_requests == n_warm:
                report.rss_warm = process.memory_info().rss
            tell(report.n_requests)
            asked = next(its)
            is_leaving = draw.randrange(N_LEAVING) == 0
            patience = draw.uniform(0.001, 0.02) if is_leaving else PATIENCE_S
            try:
                async with asyncio.timeout(patience):
                    answer = await http.post(asked.path, **asked.arguments)
            except TimeoutError:
                if not is_leaving:
                    report.wrong.append(f"{asked.path}: no answer within {PATIENCE_S} s")
                report.n_left += 1
                continue
            report.statuses[answer.status_code] += 1
            if answer.status_code not in asked.statuses | {429}:
                report.wrong.append(f"{asked.path}: {answer.status_code} {answer.text[:200]}")

    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as http:  # noqa: S113 ours is above
        await asyncio.gather(*(client(http) for _ in range(N_CLIENTS)))
        await asyncio.sleep(2)
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
        report = asyncio.run(
            soak(server.url, process, n_requests, n_warm, lambda n: progress.update(task, completed=n))
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
