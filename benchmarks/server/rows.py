"""Measure what a row of a table costs, and how much memory a long file takes that is answered line by line."""

import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import httpx
import psutil
from rich.console import Console

from benchmarks.lib.report import Ratio, Report, json_option, print_report, progress, ratio_table, table
from benchmarks.lib.servers import Server, start_manifold
from benchmarks.server.http_client import http_request
from benchmarks.server.load import run_closed_loop
from benchmarks.server.requests import AUTOENCODER, IMAGE, JSON_TYPE
from training.fit.options import FitOptions
from training.fit.pipeline import fit_file
from training.fit.report import TextReport

MODEL, N_FITTED, N_CONNECTIONS = "rows", 3000, 32
SITES = ("east", "west", "north", "south")

READ_EVERY_S = 0.05
NAMES = ("site", "quantity", "amount", "weight", "distance", "delay", "insured", "at")


@dataclass(frozen=True)
class LongFile:
    """How a file that is answered line by line was served.

    Attributes:
        n_rows: its rows.
        seconds: from the first byte of the request to the last of the answer.
        memory_before_mb: the server's memory before, in megabytes.
        memory_peak_mb: the most memory that was seen while it was answered.
        body_mb: the size of the file.
        answer_mb: the size of the answer.
    """

    n_rows: int
    seconds: float
    memory_before_mb: float
    memory_peak_mb: float
    body_mb: float
    answer_mb: float


def row_of(rng: random.Random) -> dict[str, Any]:
    """Return a random shipment, in the columns of `NAMES`."""
    quantity, distance = rng.randint(1, 20), rng.uniform(5, 900)
    weight = quantity * rng.uniform(0.8, 1.2)
    values = (
        rng.choice(SITES),
        quantity,
        round(3 + 0.02 * distance + 1.5 * weight, 2),
        round(weight, 3),
        round(distance, 1),
        round(rng.expovariate(0.2), 2),
        rng.random() < 0.3,
        f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
    )
    return dict(zip(NAMES, values, strict=True))


def to_csv(rows: Iterator[dict[str, Any]]) -> str:
    """Return rows as a file with the names of the columns in its first line."""
    return ",".join(NAMES) + "\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)


@contextmanager
def fitted_server() -> Iterator[Server]:
    """Run a server with the vanilla model of digits and a model that is fitted to random shipments."""
    rng = random.Random(0)  # noqa: S311 - benchmark data
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "rows.csv").write_text(to_csv(row_of(rng) for _ in range(N_FITTED)))
        options = FitOptions(name=MODEL, minutes=1.0, output=folder / "checkpoints")
        fit_file(folder / "rows.csv", options, TextReport(Console(stderr=True)))
        environment = {"MANIFOLD_CHECKPOINTS_DIR": str(folder / "checkpoints")}
        with start_manifold("--models", f"{AUTOENCODER},{MODEL}", environment=environment) as server:
            yield server


def measure_cost(server: Server, n_rounds: int, seconds: float) -> list[float]:
    """Return the cost of a row in each round, as a multiple of that of a picture; both take turns.

    Raises:
        RuntimeError: a request failed.
    """
    row = json.dumps({"model": MODEL, "inputs": [row_of(random.Random(1))]}).encode()  # noqa: S311 - benchmark data
    picture = json.dumps({"model": AUTOENCODER, "inputs": [IMAGE.tolist()]}).encode()
    headers = {"content-type": JSON_TYPE}
    requests = (http_request("/detect-anomalies", row, headers), http_request("/reconstruct", picture, headers))
    ratios = []
    with progress("rounds") as bar:
        for number in bar.track(range(n_rounds + 1)):
            rates = []
            for request in requests if number % 2 else reversed(requests):
                load = run_closed_loop(server.port, request, n_connections=N_CONNECTIONS, seconds=seconds)
                if load.n_failed:
                    raise RuntimeError(f"{load.n_failed} requests failed")
                rates.append(load.requests_per_second)
            row_rate, picture_rate = rates if number % 2 else reversed(rates)
            if number:  # the first round warms the server up
                ratios.append(picture_rate / row_rate)
    return ratios


def measure_long_file(server: Server, n_rows: int) -> LongFile:
    """Send a file of so many rows, and read its answer line by line."""
    rng = random.Random(2)  # noqa: S311 - benchmark data
    content = to_csv(row_of(rng) for _ in range(n_rows)).encode()
    process = psutil.Process(server.process_id)
    before = process.memory_info().rss
    peak, is_done = [before], threading.Event()

    def watch() -> None:
        while not is_done.wait(READ_EVERY_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started_at = time.perf_counter()
    n_lines = n_bytes = 0
    headers = {"content-type": "text/csv", "accept": "application/x-ndjson", "x-timeout-ms": "60000"}
    url = f"{server.url}/detect-anomalies?model={MODEL}"
    try:
        with httpx.stream("POST", url, content=content, headers=headers, timeout=60) as answer:
            for line in answer.iter_lines():
                n_lines, n_bytes = n_lines + 1, n_bytes + len(line) + 1
    finally:
        is_done.set()
        watcher.join()
    if n_lines != n_rows:
        raise RuntimeError(f"{n_lines} lines answer {n_rows} rows: {line[:500]}")
    seconds = time.perf_counter() - started_at
    return LongFile(n_rows, seconds, before / 1e6, peak[0] / 1e6, len(content) / 1e6, n_bytes / 1e6)


@click.command()
@click.option("--rounds", "n_rounds", default=9, show_default=True, help="Rounds; the median is printed.")
@click.option("--seconds", default=1.0, show_default=True, help="Length of a round for each kind of request.")
@click.option("--rows", "n_rows", default=100_000, show_default=True, help="Rows of the long file.")
@json_option
def rows(n_rounds: int, seconds: float, n_rows: int, as_json: bool) -> None:
    """Measure what a row of a table costs, and the memory of a long file.

    A model is fitted to a table of eight columns. A row to /detect-anomalies is compared with a picture to /reconstruct
    of the vanilla model of digits, at 32 connections that take turns. A long file in CSV is answered line by line.

    \b
    Keys of the JSON output:
      row_cost             cost of a row as a multiple of that of a picture, the median
      row_cost_rounds      that of each round
      long_file            n_rows, seconds, memory_before_mb, memory_peak_mb, body_mb, answer_mb
    """
    with fitted_server() as server:
        ratios = measure_cost(server, n_rounds, seconds)
        long_file = measure_long_file(server, n_rows)
    results = {
        "row_cost": round(median(ratios), 3),
        "row_cost_rounds": [round(ratio, 3) for ratio in ratios],
        "long_file": {key: round(value, 2) for key, value in asdict(long_file).items()},
    }
    print_report(_report(median(ratios), long_file), results, as_json=as_json)


def _report(cost: float, long_file: LongFile) -> Report:
    cells = [f"{getattr(long_file, name):,.1f}" for name in ("seconds", "body_mb", "answer_mb")]
    memory = [f"{long_file.memory_before_mb:,.0f}", f"{long_file.memory_peak_mb:,.0f}"]
    return Report(
        name="rows",
        title="Rows of tables",
        command="manifold bench rows",
        note="A row of eight columns to `/detect-anomalies`, against a picture to `/reconstruct` of the vanilla model.",
        parts=[
            ratio_table([Ratio("pictures a second for each row a second, at 32 connections", cost, None)]),
            table(
                ["rows of a CSV body", "s", "body, MB", "answer, MB", "memory before, MB", "peak, MB"],
                [[f"{long_file.n_rows:,}", *cells, *memory]],
            ),
        ],
    )
