"""`manifold bench`."""

import json
import platform
from dataclasses import asdict

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.server.reconstruct import Row, run


@click.command()
@click.option("--connections", default=32, show_default=True, help="Clients at once.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of a round.")
@click.option("--rounds", default=5, show_default=True, help="Rounds a case; the median one is told.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def bench(connections: int, seconds: float, rounds: int, as_json: bool) -> None:
    """Measure `/reconstruct` beside a naive FastAPI handler with the same network, in one run."""
    console = Console(stderr=as_json)
    with console.status(f"3 cases, {rounds} rounds of {seconds:g} s, {connections} connections"):
        rows = run(n_connections=connections, seconds=seconds, n_rounds=rounds)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        console.print(_table(rows, connections))
        console.print(
            f"Python {platform.python_version()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
        )


def _table(rows: list[Row], n_connections: int) -> Table:
    table = Table(title=f"/reconstruct, one 28x28 image a request, {n_connections} connections")
    for column in ("", "requests/s", "over naive", "p50 ms", "p95 ms", "p99 ms", "failed"):
        table.add_column(column, justify="left" if column == "" else "right")
    for row in rows:
        load = row.load
        latencies = (f"{latency:.1f}" for latency in (load.p50_ms, load.p95_ms, load.p99_ms))
        table.add_row(row.name, f"{load.requests_per_s:.0f}", f"{row.ratio:.2f}", *latencies, str(load.n_failed))
    return table
