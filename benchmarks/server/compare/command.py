"""The command `manifold bench compare`."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from benchmarks.lib.statistics import CONFIDENCE
from benchmarks.server.compare.pairs import Pair, Plan, Side, compare, estimate
from benchmarks.server.compare.workloads import WORKLOADS

DEFAULT_WORKLOADS = ("json", "npy", "encode")
JSON_KEYS = """\b
Keys of the JSON output:
  old, new                        tree, commit, environment
  comparisons                     a list, one entry for each benchmark:
    benchmark, unit               the name; what the medians count
    old_median, new_median        medians of the bursts
    ratio, ratio_low, ratio_high  new/old and its interval; low and high are null if unknown
    confidence                    of the interval, 0.9
    n_pairs, n_starts             pairs measured; starts of both servers
    is_narrow                     whether the interval is narrower than asked
    pairs                         old and new of each pair
"""


def _variables(context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{pair!r} is not of the form KEY=VALUE")
        variables[name] = value
    return variables


def _tree(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    if not (path / "app").is_dir():
        raise click.BadParameter(f"{path} is not a source tree of Manifold: it has no folder app")
    return path.resolve()


@click.command("compare", epilog=JSON_KEYS)
@click.argument("old_tree", type=click.Path(exists=True, file_okay=False, path_type=Path), callback=_tree)
@click.argument("new_tree", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".", callback=_tree)
@click.option(
    "--benchmark",
    "names",
    type=click.Choice(list(WORKLOADS)),
    multiple=True,
    default=DEFAULT_WORKLOADS,
    show_default=True,
    help="What to measure; may be given several times.",
)
@click.option("--until-width", default=0.04, show_default=True, help="Stop when the interval is narrower than this.")
@click.option("--max-pairs", type=click.IntRange(1), default=60, show_default=True, help="Stop after so many pairs.")
@click.option(
    "--pairs-per-start",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Start both servers anew after so many pairs; 0 to start them once.",
)
@click.option("--seconds", default=1.0, show_default=True, help="Length of a burst of requests.")
@click.option("--connections", default=32, show_default=True, help="Connections of all benchmarks but overload.")
@click.option("--env-a", multiple=True, metavar="KEY=VALUE", callback=_variables, help="Environment of the old side.")
@click.option("--env-b", multiple=True, metavar="KEY=VALUE", callback=_variables, help="Environment of the new side.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def compare_command(
    old_tree: Path,
    new_tree: Path,
    names: tuple[str, ...],
    until_width: float,
    max_pairs: int,
    pairs_per_start: int,
    seconds: float,
    connections: int,
    env_a: dict[str, str],
    env_b: dict[str, str],
    as_json: bool,
) -> None:
    """Compare the speed of two source trees, in interleaved pairs of short bursts.

    A server of each tree is started, with this Python. Both stay up and are driven in turn: old, new, new, old, and
    so on. NEW_TREE is the current directory by default. Give the same tree twice, with --env-a and --env-b, to compare
    two environments. If MANIFOLD_KEY is set, requests send that key.

    \b
    Benchmarks, and what is compared:
      json      requests/s to /reconstruct, one 28x28 image in JSON
      npy       requests/s to /reconstruct, one 28x28 image in npy
      encode    requests/s to /encode, one short text
      costs     the server's processor time for such a request; less is better
      overload  good answers/s to /encode while ten times as many requests arrive

    Printed are the median of each side, and the ratio new/old with its 90% confidence interval: Student's t over the
    logarithms. Pairs of the same two processes are not independent, so a sample is the median of the pairs between two
    starts; with --pairs-per-start 0 it is a pair, and the interval does not cover how much starts differ. Five samples
    are the least. An interval that contains 1 shows no difference.
    """
    old, new = Side(old_tree, env_a), Side(new_tree, env_b)
    plan = Plan(burst_s=seconds, until_width=until_width, max_pairs=max_pairs, pairs_per_start=pairs_per_start)
    console = Console(stderr=True)
    _warn_of_missing_kernels(old_tree, new_tree, console)
    entries = [_compare_one(name, old, new, plan, connections, console) for name in names]
    sides = {name: _describe(side) for name, side in (("old", old), ("new", new))}
    if as_json:
        click.echo(json.dumps({**sides, "comparisons": entries}, indent=2))
        return
    for name, description in sides.items():
        click.echo(f"{name}: {description['tree']} {description['commit']} {description['environment'] or ''}".rstrip())
    Console().print(_table(entries))


def _compare_one(name: str, old: Side, new: Side, plan: Plan, n_connections: int, console: Console) -> dict[str, Any]:
    """Compare one benchmark, with progress on the console; return its entry in the JSON output."""
    with console.status(f"{name}: starting", refresh_per_second=2) as status, tempfile.TemporaryDirectory() as folder:

        def show_progress(starts: list[list[Pair]]) -> None:
            ratio, n_pairs = estimate(starts, plan).ratio, sum(map(len, starts))
            interval = f"{ratio.low:.3f} to {ratio.high:.3f}"
            status.update(f"{name}: pair {n_pairs} of at most {plan.max_pairs}, new/old {ratio.ratio:.3f}, {interval}")

        try:
            workload = WORKLOADS[name](Path(folder), n_connections)
            starts = compare(workload, old, new, plan, show_progress)
        except RuntimeError as error:
            raise click.ClickException(f"{name}: {error}") from error
    result, pairs = estimate(starts, plan), list(chain.from_iterable(starts))
    return {
        "benchmark": name,
        "unit": workload.unit,
        "old_median": median(pair.old for pair in pairs),
        "new_median": median(pair.new for pair in pairs),
        "ratio": result.ratio.ratio,
        "ratio_low": result.ratio.low if result.n_samples > 1 else None,
        "ratio_high": result.ratio.high if result.n_samples > 1 else None,
        "confidence": CONFIDENCE,
        "n_pairs": len(pairs),
        "n_starts": len(starts),
        "is_narrow": result.is_narrow,
        "pairs": [asdict(pair) for pair in pairs],
    }


def _warn_of_missing_kernels(old_tree: Path, new_tree: Path, console: Console) -> None:
    old_has, new_has = (any((tree / "models").rglob("*.so")) for tree in (old_tree, new_tree))
    if old_has != new_has:
        console.print("[yellow]Only one of the trees has compiled kernels under models: install the other first.")


def _describe(side: Side) -> dict[str, Any]:
    """Return the tree, its short commit, which is marked if files have changed, and the environment of a side."""
    command = ["git", "-C", str(side.tree), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return {"tree": str(side.tree), "commit": commit, "environment": dict(side.environment)}


def _table(entries: Sequence[dict[str, Any]]) -> Table:
    table = Table("benchmark", Column("unit", no_wrap=True))
    for column in ("old", "new", "new/old", f"{CONFIDENCE:.0%} interval", "pairs"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        is_known = entry["ratio_low"] is not None
        table.add_row(
            entry["benchmark"],
            entry["unit"].replace("_per_second", "/s").replace("_per_", "/").replace("_", " "),
            f"{entry['old_median']:,.4g}",
            f"{entry['new_median']:,.4g}",
            f"{entry['ratio']:.3f}",
            f"{entry['ratio_low']:.3f} to {entry['ratio_high']:.3f}" if is_known else "unknown",
            str(entry["n_pairs"]),
        )
    return table
