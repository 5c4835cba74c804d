"""Measure two sides in interleaved pairs until the interval around their ratio is narrow."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.lib.servers import Server, start_manifold
from benchmarks.lib.statistics import RatioEstimate, estimate_ratio
from benchmarks.server.compare.workloads import Workload

MIN_SAMPLES = 5
"""Fewest samples whose interval may be narrow enough to stop: a few agree by chance too often.

In simulations with starts that differ by 1% and disturbed bursts, at least 87% of the intervals contain the ratio."""


@dataclass(frozen=True)
class Side:
    """A source tree, and variables that are added to the environment of its servers."""

    tree: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A measurement of each side, one right after the other."""

    old: float
    new: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The limits of a comparison."""

    burst_s: float
    until_width: float
    max_pairs: int
    pairs_per_start: int
    """Pairs after which both servers are started anew; 0 to start them once."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The ratio new/old that pairs give."""

    ratio: RatioEstimate
    n_samples: int
    is_narrow: bool
    """Whether the interval is as narrow as the plan asks."""


def estimate(starts: list[list[Pair]], plan: Plan) -> Estimate:
    """Estimate new/old from the pairs of each start of the two servers.

    Pairs of the same two processes share the luck of their start, such as the layout of memory, and are not
    independent. So a sample is the median of the pairs of a start, which a burst that something else disturbed does not
    move. If the servers are started once, a sample is a pair.
    """
    logs = [[math.log(pair.new / pair.old) for pair in pairs] for pairs in starts if pairs]
    samples = list(map(median, logs)) if plan.pairs_per_start else logs[0]
    ratio = estimate_ratio(samples)
    is_narrow = len(samples) >= MIN_SAMPLES and ratio.high - ratio.low < plan.until_width
    return Estimate(ratio=ratio, n_samples=len(samples), is_narrow=is_narrow)


def compare(
    workload: Workload,
    old: Side,
    new: Side,
    plan: Plan,
    on_pair: Callable[[list[list[Pair]]], None] = lambda starts: None,
) -> list[list[Pair]]:
    """Measure a workload on both sides, and return the pairs of each start; `on_pair` is called after each pair.

    Both servers are up at the same time and are driven in turn: old new, new old, old new, and so on. The one that
    is not driven is idle, so that a machine whose speed drifts slowly affects both alike.

    Raises:
        RuntimeError: A server did not start, or a request failed.
    """
    starts: list[list[Pair]] = []
    n_left = plan.max_pairs
    while n_left > 0 and not (starts and estimate(starts, plan).is_narrow):
        n_pairs = min(n_left, plan.pairs_per_start or plan.max_pairs)
        options = workload.serve_options
        with (
            start_manifold(*options, tree=old.tree, environment=old.environment) as old_server,
            start_manifold(*options, tree=new.tree, environment=new.environment) as new_server,
        ):
            workload.warm_up(old_server)
            workload.warm_up(new_server)
            starts.append([])
            for _ in range(n_pairs):
                starts[-1].append(_measure_pair(workload, old_server, new_server, plan.burst_s, n_left % 2 == 0))
                on_pair(starts)
                n_left -= 1
                if not plan.pairs_per_start and estimate(starts, plan).is_narrow:
                    return starts
    return starts


def _measure_pair(workload: Workload, old: Server, new: Server, seconds: float, is_old_first: bool) -> Pair:
    if is_old_first:
        first = workload.measure(old, seconds)
        return Pair(old=first, new=workload.measure(new, seconds))
    first = workload.measure(new, seconds)
    return Pair(old=workload.measure(old, seconds), new=first)
