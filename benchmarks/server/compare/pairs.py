"""Measure two sides in interleaved pairs until the interval around their ratio is narrow."""

import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.lib.servers import Server, start_manifold
from benchmarks.lib.statistics import RatioEstimate, estimate_ratio
from benchmarks.server.compare.workloads import Workload

MIN_SAMPLES = 3
"""Samples below which no interval is narrow enough: two may agree by chance."""


@dataclass(frozen=True)
class Side:
    """A source tree, and variables that are added to the environment of its servers."""

    tree: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, options: Sequence[str]) -> AbstractContextManager[Server]:
        """Return a context manager in which a server of this side runs, with options of `manifold serve`."""
        return start_manifold(*options, tree=self.tree, environment=self.environment)

    def commit(self) -> str:
        """Return the short commit of the tree, marked if files have changed; empty outside of git."""
        command = ["git", "-C", str(self.tree), "describe", "--always", "--dirty", "--exclude", "*"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603

    def has_compiled_kernels(self) -> bool:
        """Return whether a compiled library lies in the tree's models."""
        return next((self.tree / "models").rglob("*.so"), None) is not None


@dataclass(frozen=True)
class Pair:
    """A measurement of each side, one right after the other."""

    old: float
    new: float

    @property
    def log_ratio(self) -> float:
        """Return the logarithm of new/old."""
        return math.log(self.new / self.old)


@dataclass
class Comparison:
    """The pairs of each start of the two servers."""

    starts: list[list[Pair]] = field(default_factory=list)
    has_one_start: bool = False
    """Whether the servers are never started again."""

    @property
    def pairs(self) -> list[Pair]:
        """Return the pairs of all starts."""
        return [pair for start in self.starts for pair in start]

    @property
    def samples(self) -> list[float]:
        """Return the independent samples of the logarithm of the ratio.

        Pairs of the same two processes share the luck of their start, such as the layout of memory. So a sample is the
        median of the pairs of a start, which a burst that something else disturbed does not move; or a pair, if there
        is just one start.
        """
        if self.has_one_start:
            return [pair.log_ratio for pair in self.pairs]
        return [median(pair.log_ratio for pair in start) for start in self.starts if start]

    def estimate(self) -> RatioEstimate:
        """Return new/old with its interval."""
        return estimate_ratio(self.samples)

    def is_narrow(self, width: float) -> bool:
        """Return whether the interval is narrower than `width`."""
        return len(self.samples) >= MIN_SAMPLES and self.estimate().width < width

    def median_of_old(self) -> float:
        """Return the median of the old side's measurements."""
        return median(pair.old for pair in self.pairs)

    def median_of_new(self) -> float:
        """Return the median of the new side's measurements."""
        return median(pair.new for pair in self.pairs)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to measure."""

    burst_s: float
    until_width: float
    max_pairs: int
    pairs_per_start: int
    """Pairs after which both servers are started anew; 0 to start them once."""


def compare(
    workload: Workload, old: Side, new: Side, plan: Plan, on_pair: Callable[[Comparison], None] = lambda _: None
) -> Comparison:
    """Measure a workload on both sides; `on_pair` is called after each pair.

    Both servers are up at the same time and are driven in turn: old new, new old, old new, and so on. The one that
    is not driven is idle, so that a machine whose speed drifts slowly affects both alike.

    Raises:
        RuntimeError: A server did not start, or a request failed.
    """
    comparison = Comparison(has_one_start=plan.pairs_per_start == 0)
    n_left = plan.max_pairs
    while n_left > 0 and (comparison.has_one_start or not comparison.is_narrow(plan.until_width)):
        n_pairs = min(n_left, plan.pairs_per_start or plan.max_pairs)
        with (
            old.start(workload.serve_options) as old_server,
            new.start(workload.serve_options) as new_server,
        ):
            workload.warm_up(old_server)
            workload.warm_up(new_server)
            comparison.starts.append([])
            for _ in range(n_pairs):
                pair = _measure_pair(workload, (old_server, new_server), plan.burst_s, len(comparison.pairs))
                comparison.starts[-1].append(pair)
                on_pair(comparison)
                n_left -= 1
                if comparison.has_one_start and comparison.is_narrow(plan.until_width):
                    return comparison
    return comparison


def _measure_pair(workload: Workload, servers: Sequence[Server], seconds: float, number: int) -> Pair:
    old_server, new_server = servers
    if number % 2 == 0:
        old = workload.measure(old_server, seconds)
        return Pair(old, workload.measure(new_server, seconds))
    new = workload.measure(new_server, seconds)
    return Pair(workload.measure(old_server, seconds), new)
