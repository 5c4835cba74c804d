"""Compare `/reconstruct` with a naive FastAPI handler that has the same network."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click
from rich.progress import Progress

from benchmarks.lib.report import (
    Report,
    json_option,
    picture_option,
    print_report,
    progress,
    table,
)
from benchmarks.lib.servers import start_manifold, start_server
from benchmarks.server.load import LoadResult, run_closed_loop
from benchmarks.server.requests import AUTOENCODER, reconstruct_json_request, reconstruct_npy_request

WARM_UP_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """A server, and the request that is sent to it."""

    name: str
    port: int
    request: bytes


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The median round of a case, and its requests/s over those of the naive handler."""

    name: str
    load: LoadResult
    ratio: float


def measure(*, n_connections: int, seconds: float, n_rounds: int, progress_bar: Progress) -> list[CaseResult]:
    """Start both servers, then measure the cases in turn, `n_rounds` times, so that drift affects all alike."""
    naive_command = ("-m", "uvicorn", "--factory", "benchmarks.server.naive:create_app", "--log-level", "warning")
    with start_server(*naive_command) as naive, start_manifold("--models", AUTOENCODER) as manifold:
        cases = [
            Case(name="naive FastAPI handler, JSON", port=naive.port, request=reconstruct_json_request()),
            Case(name="Manifold, JSON", port=manifold.port, request=reconstruct_json_request()),
            Case(name="Manifold, npy", port=manifold.port, request=reconstruct_npy_request()),
        ]
        for case in cases:
            run_closed_loop(case.port, case.request, n_connections=n_connections, seconds=WARM_UP_S)
        rounds = [
            [run_closed_loop(c.port, c.request, n_connections=n_connections, seconds=seconds) for c in cases]
            for _ in progress_bar.track(range(n_rounds))
        ]
    medians = [_median(loads) for loads in zip(*rounds, strict=True)]
    naive_rate = medians[0].requests_per_second
    return [
        CaseResult(name=case.name, load=load, ratio=load.requests_per_second / naive_rate)
        for case, load in zip(cases, medians, strict=True)
    ]


def _median(loads: tuple[LoadResult, ...]) -> LoadResult:
    middle = statistics.median_low(load.requests_per_second for load in loads)
    return next(load for load in loads if load.requests_per_second == middle)


@click.command()
@click.option("--connections", default=32, show_default=True, help="Connections at once.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of a round.")
@click.option("--rounds", default=5, show_default=True, help="Rounds of each case; the median round is printed.")
@json_option
@picture_option
def reconstruct(connections: int, seconds: float, rounds: int, as_json: bool, picture: bool) -> None:
    """Compare /reconstruct with a naive FastAPI handler.

    Each request has one 28x28 image. The handler has the same network, and answers the same JSON. All cases take
    turns in one run.

    \b
    Keys of the JSON output:
      connections                name, requests_per_second and so on are of so many connections
      cases                      a list, one entry for each case, with the figures of its median round:
        name                     the server and the format
        requests_per_second      good answers a second
        ratio                    requests_per_second over that of the naive handler
        p50_ms, p95_ms, p99_ms   quantiles of the latency of good answers
        n_ok, n_failed           answers with status 200, and others
    """
    with progress(f"{rounds} rounds of 3 cases, {seconds:g} s each") as bar:
        results = measure(n_connections=connections, seconds=seconds, n_rounds=rounds, progress_bar=bar)
    cases = [{"name": result.name, "ratio": result.ratio, **asdict(result.load)} for result in results]
    report = _report(results, connections)
    print_report(report, {"connections": connections, "cases": cases}, as_json=as_json, picture=picture)


def _report(results: Sequence[CaseResult], n_connections: int) -> Report:
    rows = [
        [
            result.name,
            f"{result.load.requests_per_second:,.0f}",
            f"{result.ratio:.2f}",
            *(f"{latency:.1f}" for latency in (result.load.p50_ms, result.load.p95_ms, result.load.p99_ms)),
            str(result.load.n_failed),
        ]
        for result in results
    ]
    return Report(
        name="reconstruct",
        title=f"`/reconstruct`, one 28x28 image in each request, {n_connections} connections",
        command="manifold bench reconstruct",
        parts=[
            table(["", "requests/s", "over naive", "p50 ms", "p95 ms", "p99 ms", "failed"], rows),
        ],
        bars={result.name: result.load.requests_per_second for result in results},
        bars_label="Requests per second",
    )
