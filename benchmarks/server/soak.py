"""Send many mixed requests to a server, and check that it loses none, does not grow, and is idle afterwards."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click
import httpx
import psutil
import uvloop

from benchmarks.lib.report import (
    Report,
    json_option,
    print_report,
    progress,
    table,
)
from benchmarks.lib.servers import start_manifold
from benchmarks.server.load import Connection, connect
from benchmarks.server.soak_requests import SoakRequest, examples_of, mixed_requests

N_WARM = 20_000
"""Requests before the first reading of the memory."""
N_CLIENTS = 32
MAX_GROWTH = 0.03
ANSWER_TIMEOUT_S = 60.0
ONE_IN_LEAVING = 50
"""One request in so many is abandoned by its client."""
SETTLE_S = 2.0
"""Time between the last answer and the last look at the server."""


@dataclass
class SoakResult:
    """What became of all requests. `failures` are answers that the documentation does not name for the request."""

    n_requests: int = 0
    n_abandoned: int = 0
    answers_by_status: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    warm_rss: int = 0
    final_rss: int = 0
    is_idle: bool = False
    is_ready: bool = False
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """Return the growth of resident memory after warming up, as a share; NaN if it was never warm."""
        return self.final_rss / self.warm_rss - 1 if self.warm_rss else float("nan")

    @property
    def passes(self) -> bool:
        """Return whether nothing failed, nothing is left in the server, and memory grew within the limit."""
        return not self.failures and self.is_idle and self.is_ready and not self.growth > MAX_GROWTH


class Client:
    """Sends a request at a time over a connection, and opens another after it has left."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None
        self._answer: asyncio.Future[int]

    async def send(self, request: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Return the status and the body of the answer.

        Raises:
            TimeoutError: The answer did not come in time, and the client has closed the connection.
            ConnectionError: The server has closed the connection.
        """
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
            raise ConnectionError("the connection broke")
        return self._answer.result(), connection.body

    def close(self) -> None:
        """Close the connection, even if an answer is missing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _receive(self, connection: Connection, status: int, seconds: float) -> None:
        if connection is self._connection:
            self._answer.set_result(status)


class Soak:
    """Sends all requests from `N_CLIENTS` clients, then looks at what is left in the server."""

    def __init__(self, port: int, process: psutil.Process, *, n_requests: int, n_warm: int) -> None:
        self._port, self._process, self._n_requests, self._n_warm = port, process, n_requests, n_warm
        self._draw = random.Random(1)  # noqa: S311 not a secret
        self.result = SoakResult()

    async def run(self, on_request: Callable[[int], object]) -> SoakResult:
        """Run to the end; `on_request` is called with the number of each request."""
        loop, result = asyncio.get_running_loop(), self.result
        started_at = loop.time()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}") as http:
            self._requests = mixed_requests(examples_of((await http.get("/openapi.json")).json()), seed=0)
            await asyncio.gather(*(self._send_requests(on_request) for _ in range(N_CLIENTS)))
            await asyncio.sleep(SETTLE_S)
            models = (await http.get("/models")).json()["models"]
            result.is_idle = not any(model["queued_items"] or model["running_sequences"] for model in models)
            result.is_ready = (await http.get("/health/ready")).status_code == 200
        result.final_rss, result.seconds = self._process.memory_info().rss, loop.time() - started_at
        return result

    async def _send_requests(self, on_request: Callable[[int], object]) -> None:
        client, result = Client(self._port), self.result
        while result.n_requests < self._n_requests:
            result.n_requests += 1
            if result.n_requests == self._n_warm:
                result.warm_rss = self._process.memory_info().rss
            on_request(result.n_requests)
            await self._send(client, next(self._requests))
        client.close()

    async def _send(self, client: Client, request: SoakRequest) -> None:
        """Send a request and count what becomes of it; one in some is abandoned after a short time."""
        is_leaving = self._draw.randrange(ONE_IN_LEAVING) == 0
        timeout_s = self._draw.uniform(0.001, 0.02) if is_leaving else ANSWER_TIMEOUT_S
        result = self.result
        try:
            status, body = await client.send(request.content, timeout_s)
        except TimeoutError:
            if not is_leaving:
                result.failures.append(f"{request.path}: no answer within {ANSWER_TIMEOUT_S} s")
            result.n_abandoned += 1
            return
        except ConnectionError as error:
            result.failures.append(f"{request.path}: {error}")
            return
        result.answers_by_status[status] += 1
        if status not in request.statuses | {429}:
            result.failures.append(f"{request.path}: {status} {body[:200].decode(errors='replace')}")


@click.command()
@click.option("--requests", "n_requests", default=200_000, show_default=True)
@click.option("--warm", "n_warm", default=N_WARM, show_default=True, help="Requests before the memory is first read.")
@json_option
def soak(n_requests: int, n_warm: int, as_json: bool) -> None:
    """Send 200,000 mixed requests; fail if one is lost.

    The server has all shipped models. Requests are the examples of the documentation, items of random content and
    size, and bad ones; some clients leave before their answer arrives. The command exits with 1 if an answer is
    missing or unexpected, if resident memory grows by more than 3% after warming up, or if the server is not idle and
    ready at the end.

    \b
    Keys of the JSON output:
      requests, seconds  how many, and how long they took
      abandoned          requests whose client left
      answers_by_status  answers by their status
      failures           at most 20 unexpected answers, in words
      warm_rss_mb        resident memory after warming up, in 10^6 bytes
      final_rss_mb       resident memory at the end
      growth             the growth between these, as a share; null if the server was never warm
      is_idle, is_ready  the state of the server at the end
    """
    with start_manifold() as server, progress("requests") as bar:
        task = bar.add_task("", total=n_requests)
        run = Soak(server.port, psutil.Process(server.process_id), n_requests=n_requests, n_warm=n_warm)
        result = uvloop.run(run.run(lambda number: bar.update(task, completed=number)))
    print_report(_report(result), summarise(result), as_json=as_json)
    if not result.passes:
        raise SystemExit(1)


def summarise(result: SoakResult) -> dict[str, Any]:
    """Return the results with the keys of the JSON output."""
    return {
        "requests": result.n_requests,
        "seconds": round(result.seconds, 1),
        "abandoned": result.n_abandoned,
        "answers_by_status": dict(sorted(result.answers_by_status.items())),
        "failures": result.failures[:20],
        "warm_rss_mb": round(result.warm_rss / 1e6, 1),
        "final_rss_mb": round(result.final_rss / 1e6, 1),
        "growth": round(result.growth, 4) if result.warm_rss else None,
        "is_idle": result.is_idle,
        "is_ready": result.is_ready,
    }


def _report(result: SoakResult) -> Report:
    statuses = ", ".join(f"{n:,} with {status}" for status, n in sorted(result.answers_by_status.items()))
    rows = [
        ["requests", f"{result.n_requests:,}"],
        ["minutes", f"{result.seconds / 60:.1f}"],
        ["answers by status", statuses],
        ["abandoned by their clients", f"{result.n_abandoned:,}"],
        ["unexpected or missing answers", f"{len(result.failures):,}"],
        ["resident memory, warm and at the end", f"{result.warm_rss / 1e6:,.0f} MB, {result.final_rss / 1e6:,.0f} MB"],
        ["growth", f"{result.growth:.1%}"],
        ["idle and ready at the end", "yes" if result.is_idle and result.is_ready else "no"],
    ]
    failures = "\n".join(f"- {failure}" for failure in result.failures[:20])
    return Report(
        name="soak",
        title="Many mixed requests",
        command="manifold bench soak",
        parts=[
            table(["", "measured"], rows),
            failures,
        ],
    )
