"""The command `manifold bench compare`."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.lib.statistics import CONFIDENCE
from benchmarks.server.compare.pairs import Comparison, Plan, Side, compare
from benchmarks.server.compare.workloads import WORKLOADS, Workload

DEFAULT_WORKLOADS = ("json", "npy", "encode")


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


@click.command("compare")
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
    two environments.

    \b
    Benchmarks, and what is compared:
      json      requests/s to /reconstruct, one 28x28 image in JSON
      npy       requests/s to /reconstruct, one 28x28 image in npy
      encode    requests/s to /encode, one short text
      costs     the server's processor time for such a request; less is better
      overload  good answers/s to /encode while ten times as many requests arrive

    Printed are the median of each side, and the ratio new/old with its 90% confidence interval: Student's t over the
    logarithms. Pairs of the same two processes are not independent, so a sample is the median of the pairs between two
    starts; with --pairs-per-start 0 it is a pair, and the interval does not cover how much starts differ. Three samples
    are the least. An interval that contains 1 shows no difference.

    \b
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
    old, new = Side(old_tree, env_a), Side(new_tree, env_b)
    console = Console(stderr=True)
    if old.has_compiled_kernels() != new.has_compiled_kernels():
        console.print("[yellow]Only one of the trees has compiled kernels under models: install the other first.")
    plan = Plan(burst_s=seconds, until_width=until_width, max_pairs=max_pairs, pairs_per_start=pairs_per_start)
    found: dict[str, tuple[Workload, Comparison]] = {}
    for name in names:
        found[name] = _compare_one(name, old, new, plan, connections, console)
    if as_json:
        click.echo(json.dumps(_report(old, new, found, until_width), indent=2))
    else:
        click.echo(f"old: {_describe(old)}\nnew: {_describe(new)}")
        Console().print(_table(found))


def _compare_one(
    name: str, old: Side, new: Side, plan: Plan, n_connections: int, console: Console
) -> tuple[Workload, Comparison]:
    with console.status(f"{name}: starting", refresh_per_second=2) as status, tempfile.TemporaryDirectory() as folder:
        workload = WORKLOADS[name](Path(folder), n_connections)
        try:
            comparison = compare(
                workload, old, new, plan, lambda so_far: status.update(f"{name}: {_progress(so_far, plan)}")
            )
        except RuntimeError as error:
            raise click.ClickException(f"{name}: {error}") from error
    return workload, comparison


def _progress(comparison: Comparison, plan: Plan) -> str:
    estimate, n_pairs = comparison.estimate(), len(comparison.pairs)
    interval = f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"pair {n_pairs} of at most {plan.max_pairs}, new/old {estimate.ratio:.3f}, {interval}"


def _describe(side: Side) -> str:
    variables = [f"{name}={value}" for name, value in side.environment.items()]
    return " ".join((str(side.tree), side.commit(), *variables))


def _report(old: Side, new: Side, found: dict[str, tuple[Workload, Comparison]], width: float) -> dict[str, Any]:
    sides = {
        name: {"tree": str(side.tree), "commit": side.commit(), "environment": dict(side.environment)}
        for name, side in (("old", old), ("new", new))
    }
    return {**sides, "comparisons": [_entry(name, *each, width) for name, each in found.items()]}


def _entry(name: str, workload: Workload, comparison: Comparison, width: float) -> dict[str, Any]:
    estimate = comparison.estimate()
    has_interval = len(comparison.samples) > 1
    return {
        "benchmark": name,
        "unit": workload.unit,
        "old_median": comparison.median_of_old(),
        "new_median": comparison.median_of_new(),
        "ratio": estimate.ratio,
        "ratio_low": estimate.low if has_interval else None,
        "ratio_high": estimate.high if has_interval else None,
        "confidence": CONFIDENCE,
        "n_pairs": len(comparison.pairs),
        "n_starts": len(comparison.starts),
        "is_narrow": comparison.is_narrow(width),
        "pairs": [asdict(pair) for pair in comparison.pairs],
    }


def _table(found: dict[str, tuple[Workload, Comparison]]) -> Table:
    table = Table("benchmark", "unit")
    for column in ("old", "new", "new/old", f"{CONFIDENCE:.0%} interval", "pairs"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, (workload, comparison) in found.items():
        estimate = comparison.estimate()
        interval = f"{estimate.low:.3f} to {estimate.high:.3f}" if len(comparison.samples) > 1 else "unknown"
        table.add_row(
            name,
            workload.unit.replace("_per_", "/").replace("_", " "),
            f"{comparison.median_of_old():,.4g}",
            f"{comparison.median_of_new():,.4g}",
            f"{estimate.ratio:.3f}",
            interval,
            str(len(comparison.pairs)),
        )
    return table
