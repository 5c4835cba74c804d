"""Define `manifold bench fuzz`."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
import orjson
import uvloop

from benchmarks.lib.report import Report, json_option, print_report, progress, table
from benchmarks.lib.servers import start_manifold
from benchmarks.server.fuzz.requests import FuzzRequests
from benchmarks.server.http_client import Answer, Client

N_CLIENTS = 16
ANSWER_TIMEOUT_S = 30.0
TIME_LIMIT = 504
FOLDER = Path("runs/fuzz")


@dataclass
class FuzzResult:
    """Answers by route and status, and the requests that failed: their path, what was wrong, and their bytes."""

    seconds: float = 0.0
    n_requests: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_path: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str, bytes]] = field(default_factory=list)


def wrong_with(answer: Answer) -> str | None:
    """Return what is wrong with an answer, in words: it is a 5xx, or an error that is no JSON; None if nothing is."""
    if answer.status >= 500 and answer.status != TIME_LIMIT:
        return f"{answer.status} {answer.body[:200]!r}"
    if answer.status >= 400:
        try:
            orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            return f"{answer.status} whose body is no JSON: {answer.body[:200]!r}"
    return None


async def send_all(
    port: int, requests: FuzzRequests, n_requests: int, on_request: Callable[[int], object]
) -> FuzzResult:
    """Send the requests with the numbers from 0, and return what became of them."""
    result, numbers = FuzzResult(), iter(range(n_requests))
    started_at = time.perf_counter()

    async def send_some() -> None:
        client = Client(port)
        for number in numbers:
            path, content = requests.request(number)
            result.n_requests += 1
            result.by_path[path] += 1
            on_request(result.n_requests)
            try:
                answer = await client.send(content, ANSWER_TIMEOUT_S)
            except (OSError, ValueError) as error:  # a TimeoutError is an OSError
                client.close()
                wrong: str | None = f"no answer: {type(error).__name__} {error}"
            else:
                result.by_status[answer.status] += 1
                wrong = wrong_with(answer)
            if wrong is not None:
                result.failures.append((path, wrong, content))
        client.close()

    await asyncio.gather(*(send_some() for _ in range(N_CLIENTS)))
    result.seconds = time.perf_counter() - started_at
    return result


def keep(result: FuzzResult, folder: Path = FOLDER) -> list[Path]:
    """Write each request that failed to a file, and return the files."""
    paths = []
    for number, (_, _, content) in enumerate(result.failures):
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{number:03}.http")
        paths[-1].write_bytes(content)
    return paths


@click.command()
@click.option("--requests", "n_requests", default=20_000, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Another seed gives other requests.")
@click.option("--models", default="", help="Names of checkpoints, separated by commas; all where empty.")
@json_option
def fuzz(n_requests: int, seed: int, models: str, as_json: bool) -> None:
    """Send 20,000 generated requests; fail if one is answered by a 5xx.

    The requests look valid: they follow the OpenAPI document over all routes but those that load and unload, with
    inputs that the models' cards ask for, some of them odd. Status 504 is no failure, because each sets a time limit of
    two seconds. Each request that fails is printed and kept in runs/fuzz, for `nc localhost PORT < FILE`.

    \b
    Keys of the JSON output:
      requests, seconds   how many were sent, and how long it took
      answers_by_status   answers by their status
      requests_by_path    requests by their route
      failures            a list: path, wrong (in words), file (with the bytes of the request)
    """
    options = ("--models", models) if models else ()
    with start_manifold(*options) as server, progress("requests") as bar:
        task = bar.add_task("", total=n_requests)
        openapi = httpx.get(f"{server.url}/openapi.json").json()
        cards = [card for card in httpx.get(f"{server.url}/models").json()["models"] if card["state"] == "ready"]
        requests = FuzzRequests(openapi, cards, seed)
        result = uvloop.run(send_all(server.port, requests, n_requests, lambda n: bar.update(task, completed=n)))
    files = keep(result)
    summary = summarise(result, files)
    print_report(_report(result, summary), summary, as_json=as_json)
    if result.failures:
        raise SystemExit(1)


def summarise(result: FuzzResult, files: list[Path]) -> dict[str, Any]:
    """Return the results with the keys of the JSON output."""
    failures = zip(result.failures, files, strict=True)
    return {
        "requests": result.n_requests,
        "seconds": round(result.seconds, 1),
        "answers_by_status": dict(sorted(result.by_status.items())),
        "requests_by_path": dict(sorted(result.by_path.items())),
        "failures": [{"path": path, "wrong": wrong, "file": str(file)} for (path, wrong, _), file in failures],
    }


def _report(result: FuzzResult, summary: dict[str, Any]) -> Report:
    rows = [
        ["requests", f"{result.n_requests:,}"],
        ["routes", str(len(result.by_path))],
        ["seconds", f"{result.seconds:.0f}"],
        ["answers", ", ".join(f"{n:,} by {status}" for status, n in summary["answers_by_status"].items())],
        ["failures", str(len(result.failures))],
    ]
    failures = [f"- {each['path']}: {each['wrong']} ({each['file']})" for each in summary["failures"]]
    return Report(
        name="fuzz",
        title="Generated requests",
        command="manifold bench fuzz",
        parts=[table(["", "measured"], rows), "\n".join(failures)],
    )
