"""Estimates of ratios, and quantiles."""

import math

import pytest

from benchmarks.lib.statistics import estimate_ratio, quantile


def test_the_interval_is_that_of_students_t() -> None:
    samples = [math.log(ratio) for ratio in (1.0, 1.1, 1.21)]
    estimate = estimate_ratio(samples)
    margin = 2.919986 * math.log(1.1) / math.sqrt(3)  # the table's t for 2 degrees of freedom, and the deviation
    assert estimate.ratio == pytest.approx(1.1)
    assert estimate.low == pytest.approx(1.1 * math.exp(-margin))
    assert estimate.high == pytest.approx(1.1 * math.exp(margin))


def test_swapping_the_sides_inverts_the_interval() -> None:
    samples = [0.1, -0.2, 0.05, 0.3]
    estimate, inverse = estimate_ratio(samples), estimate_ratio([-sample for sample in samples])
    assert inverse.ratio == pytest.approx(1 / estimate.ratio)
    assert (inverse.low, inverse.high) == pytest.approx((1 / estimate.high, 1 / estimate.low))


def test_one_sample_has_no_interval() -> None:
    estimate = estimate_ratio([math.log(2)])
    assert estimate.ratio == pytest.approx(2)
    assert (estimate.low, estimate.high) == (0, math.inf)


def test_quantiles_are_elements_of_the_sorted_values() -> None:
    assert [quantile(range(100), fraction) for fraction in (0, 0.5, 0.99, 1)] == [0, 50, 99, 99]
    assert math.isnan(quantile([], 0.5))
