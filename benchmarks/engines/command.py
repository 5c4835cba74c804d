"""Compare this project's engine with others that have the same weights, each in a process of its own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.engines.against import compare_trees, output_of, report_on
from benchmarks.engines.benchmarks import BENCHMARKS, Benchmark, CaseResult
from benchmarks.engines.run import measure
from benchmarks.lib.report import (
    Ratio,
    Report,
    json_option,
    picture_option,
    print_report,
    ratio_table,
    table,
)


@click.command()
@click.argument("name", type=click.Choice(list(BENCHMARKS)))
@click.option("--only", default="", help="Measure the cases whose names contain this.")
@click.option("--passes", default=3, show_default=True, help="How often each case takes its turn.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of a batch size within a turn.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Threads of each engine.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Measure this project alone, in the current directory and in this source tree in turn.",
)
@json_option
@picture_option
def engines(
    name: str, only: str, passes: int, rounds: int, threads: int, against: Path | None, as_json: bool, picture: bool
) -> None:
    """Compare text embeddings or generation with other engines.

    encode and encode-base measure text embeddings, with MiniLM's and BERT-base's shape; generate measures generation
    with GPT-2's shape. Each case is an engine at a precision, in a process of its own, and gets the same texts. Other
    engines run as one worker with all threads, and as a worker for each thread. They are installed on first use, in an
    environment under runs/benchmarks/environments.

    \b
    Keys of the JSON output:
      benchmark            the name
      cases                a list, one entry for each engine and precision:
        name, package      the case; the engine's package with its version
        cosine             the least cosine of Manifold's codes to those in float32, else null
        tokens_per_second  the median by batch size, with the best number of workers
        passes             tokens a second of each pass, by number of workers and batch size
      ratios               a list: name, ratio, target
    With --against, there are in place of cases and ratios:
      comparisons          a list, one entry for each precision and batch size:
        case, batch_size   the precision; the number of texts or prompts at once
        old_median         median of the tokens a second in the other source tree
        new_median         the same in the current directory
        ratio              new/old
        ratio_low, ratio_high  its 90% confidence interval; high is null if it is unknown
      pairs                a list: case, batch_size, and the rates old and new of each pair of processes
    """
    if against is not None:
        limits = {"n_passes": passes, "n_rounds": rounds, "n_threads": threads}
        comparisons = compare_trees(BENCHMARKS[name], against, Path.cwd(), only=only, **limits)
        print_report(report_on(name, comparisons), output_of(name, comparisons), as_json=as_json)
        return
    results = measure(BENCHMARKS[name], only=only, n_passes=passes, n_rounds=rounds, n_threads=threads)
    output = {
        "benchmark": name,
        "cases": case_entries(results),
        "ratios": [asdict(ratio) for ratio in ratios_of(BENCHMARKS[name], results)],
    }
    print_report(report_of(name, results), output, as_json=as_json, picture=picture)


def case_entries(results: Mapping[str, CaseResult]) -> list[dict[str, Any]]:
    """Return the results of cases with the keys of the JSON output."""
    return [
        {
            "name": name,
            "package": result.package,
            "cosine": result.cosine,
            "tokens_per_second": {size: result.rate(int(size)) for size in next(iter(result.passes[0].values()))},
            "passes": result.passes,
        }
        for name, result in results.items()
    ]


def ratios_of(benchmark: Benchmark, results: Mapping[str, CaseResult]) -> list[Ratio]:
    """Return the ratios that have a target and whose cases were measured."""
    return [
        Ratio(
            _ratio_name(target.own, target.peer, target.batch_size, n_workers),
            results[target.own].best_rate(sizes) / results[target.peer].best_rate(sizes, n_workers),
            target.least,
        )
        for target in benchmark.targets
        for sizes in [[target.batch_size] if target.batch_size else benchmark.batch_sizes]
        if target.own in results and target.peer in results
        for n_workers in (1, None)
    ]


def _ratio_name(own: str, peer: str, batch_size: int | None, n_workers: int | None) -> str:
    as_one_worker = " as one worker" if n_workers == 1 else ""
    return f"{own} / {peer}{as_one_worker}" + (f", {batch_size} at once" if batch_size else "")


def rate_table(results: Mapping[str, CaseResult], batch_sizes: Sequence[int]) -> str:
    """Return a Markdown table of tokens a second by batch size; cells are empty where a case was not measured."""
    rows = []
    for name, result in results.items():
        measured = next(iter(result.passes[0].values()))
        rates = (f"{result.rate(size):,.0f}" if str(size) in measured else "" for size in batch_sizes)
        rows.append([name, result.package, *rates])
    return table(["", "package", *map(str, batch_sizes)], rows)


def report_of(name: str, results: Mapping[str, CaseResult]) -> Report:
    """Return Markdown, with a picture of the best rate of each case."""
    benchmark = BENCHMARKS[name]
    return Report(
        name=name,
        title=benchmark.title,
        command=f"manifold bench engines {name}",
        note=benchmark.note,
        parts=[rate_table(results, benchmark.batch_sizes), ratio_table(ratios_of(benchmark, results))],
        bars={case: result.best_rate(benchmark.batch_sizes) for case, result in results.items()},
        bars_label=f"{benchmark.quantity}, the best of each engine",
    )
