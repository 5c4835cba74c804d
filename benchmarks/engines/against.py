"""Compare this project's engine in two source trees, each time in processes of their own."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engines.benchmarks import Benchmark
from benchmarks.engines.run import run_case
from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.environments import OWN
from benchmarks.lib.report import Report, progress, table
from benchmarks.lib.statistics import estimate_ratio


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Tokens a second of both trees, at one precision and one batch size: the rates of each pair of processes."""

    case: str
    batch_size: int
    old: Sequence[float]
    new: Sequence[float]

    def entry(self) -> dict[str, Any]:
        """Return the comparison with the keys of the JSON output."""
        ratio = estimate_ratio([math.log(new / old) for old, new in zip(self.old, self.new, strict=True)])
        return {
            "case": self.case,
            "batch_size": self.batch_size,
            "old_median": median(self.old),
            "new_median": median(self.new),
            "ratio": ratio.ratio,
            "ratio_low": ratio.low,
            "ratio_high": ratio.high if math.isfinite(ratio.high) else None,
        }


def compare_trees(
    benchmark: Benchmark, old: Path, new: Path, *, only: str = "", n_passes: int, n_rounds: int, n_threads: int
) -> list[Comparison]:
    """Measure the cases of this project whose names contain `only`, in both trees, `n_passes` times.

    A pass of a case is a process of each tree, one right after the other; which comes first alternates.

    Raises:
        ClickException: A process failed.
    """
    cases = [case for case in benchmark.cases if case.environment == OWN and only.lower() in case.name.lower()]
    trees = {"old": old, "new": new}
    rates: dict[tuple[str, str], list[Mapping[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, progress(benchmark.shape) as bar:
        job = benchmark.job(str(write_checkpoint(benchmark.shape, Path(folder))), n_rounds, n_threads)
        for number, case in enumerate(bar.track(cases * n_passes)):
            for side in ("old", "new") if number // len(cases) % 2 == 0 else ("new", "old"):
                environment = {"PYTHONPATH": str(trees[side].resolve())}
                written = run_case(case, replace(job, precision=case.precision), environment)
                rates.setdefault((case.name, side), []).append(written["tokens_per_second"][str(n_threads)])
    return [
        Comparison(
            case=case.name,
            batch_size=size,
            old=[by_size[str(size)] for by_size in rates[case.name, "old"]],
            new=[by_size[str(size)] for by_size in rates[case.name, "new"]],
        )
        for case in cases
        for size in benchmark.batch_sizes
    ]


def report_on(name: str, comparisons: Sequence[Comparison]) -> Report:
    """Return a table of both trees' rates, with the ratios and their intervals."""
    entries = [comparison.entry() for comparison in comparisons]
    rows = [
        [
            entry["case"],
            str(entry["batch_size"]),
            f"{entry['old_median']:,.0f}",
            f"{entry['new_median']:,.0f}",
            f"{entry['ratio']:.3f}",
            f"{entry['ratio_low']:.3f} to {entry['ratio_high'] or math.inf:.3f}",
        ]
        for entry in entries
    ]
    return Report(
        name=f"{name}-trees",
        title="Tokens per second of two source trees",
        command=f"manifold bench engines {name} --against OLD_TREE",
        parts=[table(["case", "at once", "old", "new", "new/old", "90% interval"], rows)],
    )


def output_of(name: str, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the comparisons with the keys of the JSON output."""
    pairs = [asdict(comparison) for comparison in comparisons]
    return {"benchmark": name, "comparisons": [comparison.entry() for comparison in comparisons], "pairs": pairs}
