"""Summarise repeated measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, sqrt
from statistics import fmean, stdev

CONFIDENCE = 0.9
"""Confidence of every interval."""


@dataclass(frozen=True, kw_only=True)
class RatioEstimate:
    """The geometric mean of ratios, and a 90% confidence interval around it, from 0 to infinity if nothing is known."""

    ratio: float
    low: float
    high: float


def estimate_ratio(log_ratios: Sequence[float]) -> RatioEstimate:
    """Estimate a ratio from independent samples of its logarithm, with the interval of Student's t-distribution.

    Logarithms, because new/old and old/new must give the same answer.
    """
    from scipy.special import stdtrit  # a slow import of an optional dependency

    mean, n = fmean(log_ratios), len(log_ratios)
    if n < 2:
        return RatioEstimate(ratio=exp(mean), low=0.0, high=inf)
    margin = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stdev(log_ratios) / sqrt(n)
    return RatioEstimate(ratio=exp(mean), low=exp(mean - margin), high=exp(mean + margin))


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """Return the value below which the given fraction of the sorted values lies; NaN if there is none."""
    return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] if ordered else float("nan")
