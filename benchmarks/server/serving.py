"""Compare `/encode` over HTTP with other servers that have the same weights."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from rich.progress import Progress

from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.environments import python_of
from benchmarks.lib.report import (
    Ratio,
    Report,
    json_option,
    picture_option,
    print_report,
    progress,
    ratio_table,
    table,
)
from benchmarks.lib.servers import Server, start_manifold, start_server
from benchmarks.lib.texts import random_texts, text_lengths
from benchmarks.server.wrk import WrkResult, run_wrk

N_TEXTS = 4000
CONNECTIONS = (1, 8, 32, 128)
RATIO_CONNECTIONS = 32
"""Connections at which servers are compared with their targets."""


@dataclass(frozen=True)
class Case:
    """A server: how to start it with the model in a folder, and the path and the body of a request.

    `precision` is that of Manifold. Other servers have a command instead, as arguments of the interpreter of an
    environment; FOLDER in it stands for the model and BIN for the environment's folder of programs.
    """

    name: str
    path: str
    body: str
    precision: str | None = None
    command: Sequence[str] = ()
    environment: str = "manifold"

    @contextmanager
    def start(self, folder: str) -> Iterator[Server]:
        """Run the server, with the model in a folder."""
        if self.precision is not None:
            options = ("--models", "minilm", "--model", f"minilm={folder}", "--dtype", self.precision)
            with start_manifold(*options) as server:
                yield server
            return
        python = python_of(self.environment)
        command = [part.replace("FOLDER", folder).replace("BIN", str(Path(python).parent)) for part in self.command]
        with start_server(*command, python=python, health_path="/health") as server:
            yield server


Rounds = dict[int, list[WrkResult]]
"""What wrk measured, by the number of connections."""


@dataclass(frozen=True)
class Summary:
    """Medians of rounds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float


def summarise(rounds: Sequence[WrkResult]) -> Summary:
    """Return the medians of rounds."""
    return Summary(
        median(each.good_per_second for each in rounds),
        median(each.p50_ms for each in rounds),
        median(each.p99_ms for each in rounds),
    )


PRECISIONS = ("float32", "bfloat16", "int8")
CASES = [
    *(
        Case(f"Manifold {precision}", "/encode", '{"model": "minilm", "inputs": ["TEXT"]}', precision=precision)
        for precision in PRECISIONS
    ),
    Case(
        "LitServe",
        "/predict",
        '{"input": "TEXT"}',
        command=("-m", "benchmarks.server.peers.litserve_server", "--folder", "FOLDER"),
        environment="litserve",
    ),
    Case(
        "infinity",
        "/embeddings",
        '{"model": "minilm", "input": ["TEXT"]}',
        command=(
            *("BIN/infinity_emb", "v2", "--model-id", "FOLDER", "--served-model-name", "minilm"),
            *("--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"),
        ),
        environment="infinity",
    ),
]
TARGETS = [
    (f"Manifold {precision}", peer, target)
    for peer, targets in (("LitServe", (4, 6, 8)), ("infinity", (3.5, 5, 7)))
    for precision, target in zip(PRECISIONS, targets, strict=True)
]
"""Least ratios of good answers a second, each of two cases."""


def measure(only: str, n_passes: int, seconds: float, progress_bar: Progress) -> dict[str, Rounds]:
    """Measure the servers whose names contain `only`; all take turns, `n_passes` times."""
    cases = [case for case in CASES if only.lower() in case.name.lower()]
    results: dict[str, Rounds] = {case.name: {n: [] for n in CONNECTIONS} for case in cases}
    texts = random_texts(text_lengths(N_TEXTS))
    with tempfile.TemporaryDirectory() as directory:
        folder, bodies = write_checkpoint("minilm", Path(directory) / "minilm"), Path(directory) / "bodies"
        for case in progress_bar.track(cases * n_passes):
            bodies.write_text("".join(case.body.replace("TEXT", text) + "\n" for text in texts))
            with case.start(str(folder)) as server:
                url = server.url + case.path
                run_wrk(url, bodies, n_connections=CONNECTIONS[-1], seconds=seconds)  # warms the server up
                for n, rounds in results[case.name].items():
                    rounds.append(run_wrk(url, bodies, n_connections=n, seconds=seconds))
    return results


def ratios_of(results: Mapping[str, Rounds]) -> list[Ratio]:
    """Return the ratios that have a target and whose cases were measured."""
    rates = {name: summarise(by_n[RATIO_CONNECTIONS]).requests_per_second for name, by_n in results.items()}
    return [
        Ratio(f"{own} / {peer}", rates[own] / rates[peer], target)
        for own, peer, target in TARGETS
        if own in rates and peer in rates
    ]


@click.command()
@click.option("--only", default="", help="Measure the servers whose names contain this.")
@click.option("--passes", default=3, show_default=True, help="How often each server takes its turn.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of a round.")
@json_option
@picture_option
def serving(only: str, passes: int, seconds: float, as_json: bool, picture: bool) -> None:
    """Compare /encode with LitServe and infinity.

    All have the same weights, of MiniLM's shape. Each request has one text, and the lengths of texts vary. A turn of a
    server has a round for each number of connections. This needs wrk; the other servers are installed on first use,
    in environments under runs/benchmarks/environments.

    \b
    Keys of the JSON output:
      cases                  a list, one entry for each server and number of connections:
        name, connections    the server; how many clients at once
        requests_per_second  good answers a second, the median of the rounds
        p50_ms, p99_ms       quantiles of the latency, the median of the rounds
        rounds               what wrk printed: requests, seconds, errors, p50_ms, p99_ms
      ratios                 a list: name, ratio, target (of requests_per_second at 32 connections)
    """
    os.environ["DO_NOT_TRACK"] = "1"
    with progress("servers") as bar:
        results = measure(only, passes, seconds, bar)
    cases = [
        {
            "name": name,
            "connections": n,
            **asdict(summarise(rounds)),
            "rounds": [asdict(each) for each in rounds],
        }
        for name, rounds_by_connections in results.items()
        for n, rounds in rounds_by_connections.items()
    ]
    ratios = [asdict(ratio) for ratio in ratios_of(results)]
    print_report(report_of(results), {"cases": cases, "ratios": ratios}, as_json=as_json, picture=picture)


def report_of(results: Mapping[str, Rounds]) -> Report:
    """Return Markdown, with a picture of requests a second."""
    columns = ["", *(f"{n} connections" for n in CONNECTIONS)]
    medians = {name: {n: summarise(by_n[n]) for n in CONNECTIONS} for name, by_n in results.items()}
    rates = [[name, *(f"{each.requests_per_second:,.0f}" for each in by_n.values())] for name, by_n in medians.items()]
    latencies = [
        [name, *(f"{each.p50_ms:.1f} / {each.p99_ms:.1f}" for each in by_n.values())] for name, by_n in medians.items()
    ]
    return Report(
        name="serving",
        title="`/encode` over HTTP, MiniLM's shape, one text in each request",
        command="manifold bench serving",
        note="The tables show good answers per second, latency in milliseconds (the median / the 99th percentile), and "
        f"ratios at {RATIO_CONNECTIONS} connections.",
        parts=[table(columns, rates), table(columns, latencies), ratio_table(ratios_of(results))],
        bars={name: by_n[RATIO_CONNECTIONS].requests_per_second for name, by_n in medians.items()},
        bars_label=f"Requests per second at {RATIO_CONNECTIONS} connections",
    )
