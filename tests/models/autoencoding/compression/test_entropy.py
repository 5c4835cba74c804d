"""Integer tables against the distributions they stand for, and a coder that loses nothing and wastes little."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.autoencoding.compression.entropy import (
    FRACTION,
    TOTAL,
    Coder,
    Integers,
    bernoulli_frequencies,
    normal_frequencies,
    normal_quantiles,
)

ONE = 1 << FRACTION
NORMAL = NormalDist()


def fixed(*values: float) -> Integers:
    return np.array([round(value * ONE) for value in values], dtype=np.int64)


@settings(max_examples=100, deadline=None)
@given(
    mean=st.floats(-5, 5),
    deviation=st.floats(0.05, 20),
    edges=st.lists(st.floats(-7, 7), min_size=1, max_size=40, unique_by=lambda x: round(x * ONE)),
)
def test_frequencies_of_intervals_are_the_normal_distributions(
    mean: float, deviation: float, edges: list[float]
) -> None:
    edges.sort()
    (row,) = normal_frequencies(fixed(*edges), fixed(mean), fixed(1 / deviation))
    assert row.sum() == TOTAL
    assert row.min() >= 1
    own = NormalDist(round(mean * ONE) / ONE, ONE / round(ONE / deviation))
    below = [0.0, *(own.cdf(round(edge * ONE) / ONE) for edge in edges), 1.0]
    np.testing.assert_allclose(row / TOTAL, np.diff(below), rtol=0, atol=3e-4)


@given(st.lists(st.integers(1, TOTAL - 1), min_size=1, max_size=50))
def test_quantiles_are_the_inverse_of_the_distribution(masses: list[int]) -> None:
    quantiles = normal_quantiles(np.array(masses, dtype=np.int64)) / ONE
    for mass, quantile in zip(masses, quantiles, strict=True):
        assert NORMAL.cdf(quantile) == pytest.approx(mass / TOTAL, abs=3e-4)


def test_quantiles_ascend() -> None:
    quantiles = normal_quantiles(np.arange(1, 1024, dtype=np.int64) * (TOTAL >> 10))
    assert (np.diff(quantiles) > 0).all()


@given(st.floats(-40, 40))
def test_frequencies_of_one_are_the_logistic_function(logit: float) -> None:
    (frequency,) = bernoulli_frequencies(fixed(logit))
    assert 1 <= frequency <= TOTAL - 1
    assert frequency / TOTAL == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_what_is_pushed_is_popped_in_reverse(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    draw = np.random.default_rng(seed)
    coder = Coder()
    pushed = []
    for _ in range(data.draw(st.integers(1, 6))):
        n, n_symbols = int(draw.integers(1, 30)), int(draw.integers(2, 50))
        cuts = np.sort(draw.choice(TOTAL - 1, (n, n_symbols - 1), replace=False) + 1, axis=1)
        table = np.diff(cuts, axis=1, prepend=0, append=TOTAL)
        symbols = draw.integers(0, n_symbols, n)
        bits, ones = draw.integers(0, 2, n), draw.integers(1, TOTAL, n)
        coder.push(symbols, table)
        coder.push_bits(bits, ones)
        coder.push_alike(symbols, table[0])
        pushed.append((symbols, table, bits, ones))
    words = coder.words()
    again = Coder(words)
    for symbols, table, bits, ones in reversed(pushed):
        np.testing.assert_array_equal(again.pop_alike(len(symbols), table[0]), symbols)
        np.testing.assert_array_equal(again.pop_bits(ones), bits)
        np.testing.assert_array_equal(again.pop(table), symbols)
    assert len(again.words()) == 0


def test_the_stream_is_as_long_as_the_information() -> None:
    draw = np.random.default_rng(0)
    frequencies = np.array([TOTAL // 2, TOTAL // 4, TOTAL // 8, TOTAL // 8], dtype=np.int64)
    symbols = draw.choice(4, 20_000, p=frequencies / TOTAL)
    coder = Coder()
    coder.push_alike(symbols, frequencies)
    information = -np.log2(frequencies[symbols] / TOTAL).sum()
    assert 32 * len(coder.words()) == pytest.approx(information, rel=0.003)
