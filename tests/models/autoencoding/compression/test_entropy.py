"""Compares the integer tables with the distributions that they represent, and checks what the coder stores."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.autoencoding.compression.entropy import (
    BERNOULLI,
    FRACTION_BITS,
    TOTAL,
    Coder,
    Integers,
    bernoulli_frequencies,
    logistic,
    normal_frequencies,
    normal_quantiles,
    softmax_frequencies,
)

ONE = 1 << FRACTION_BITS
NORMAL = NormalDist()


def fixed_point(*values: float) -> Integers:
    return np.array([round(value * ONE) for value in values], dtype=np.int64)


@settings(max_examples=100)
@given(
    mean=st.floats(-5, 5),
    deviation=st.floats(0.05, 20),
    edges=st.lists(st.floats(-7, 7), min_size=1, max_size=40, unique_by=lambda x: round(x * ONE)),
)
def test_frequencies_of_intervals_are_those_of_the_normal_distribution(
    mean: float, deviation: float, edges: list[float]
) -> None:
    edges.sort()
    (row,) = normal_frequencies(fixed_point(*edges), fixed_point(mean), fixed_point(1 / deviation))
    assert row.sum() == TOTAL
    assert row.min() >= 1
    rounded = NormalDist(round(mean * ONE) / ONE, ONE / round(ONE / deviation))
    below = [0.0, *(rounded.cdf(round(edge * ONE) / ONE) for edge in edges), 1.0]
    np.testing.assert_allclose(row / TOTAL, np.diff(below), rtol=0, atol=3e-4)


@given(st.lists(st.integers(1, TOTAL - 1), min_size=1, max_size=50))
def test_quantiles_are_the_inverse_of_the_distribution_function(masses: list[int]) -> None:
    quantiles = normal_quantiles(np.array(masses, dtype=np.int64)) / ONE
    for mass, quantile in zip(masses, quantiles, strict=True):
        assert NORMAL.cdf(quantile) == pytest.approx(mass / TOTAL, abs=3e-4)


def test_quantiles_ascend() -> None:
    quantiles = normal_quantiles(np.arange(1, 1024, dtype=np.int64) * (TOTAL >> 10))
    assert (np.diff(quantiles) > 0).all()


@settings(max_examples=50)
@given(st.integers(1, 5), st.integers(2, 300), st.floats(0.1, 8), st.integers(0, 99))
def test_frequencies_of_logits_are_those_of_the_softmax(n: int, n_symbols: int, scale: float, seed: int) -> None:
    logits = (np.random.default_rng(seed).normal(size=(n, n_symbols)) * scale * ONE).astype(np.int64)
    frequencies = softmax_frequencies(logits)
    assert (frequencies.sum(1) == TOTAL).all()
    assert frequencies.min() >= 1
    exact = np.exp((logits - logits.max(1, keepdims=True)) / ONE)
    np.testing.assert_allclose(frequencies / TOTAL, exact / exact.sum(1, keepdims=True), rtol=0.005, atol=3e-4)


def test_the_coder_returns_symbols_of_large_vocabularies() -> None:
    generator = np.random.default_rng(0)
    frequencies = softmax_frequencies((generator.normal(size=(20, 4000)) * 9 * ONE).astype(np.int64))
    symbols = generator.integers(4000, size=20)
    coder = Coder()
    coder.push(symbols, frequencies)
    assert np.array_equal(Coder(coder.words()).pop(frequencies), symbols)


@given(st.lists(st.floats(-40, 40), min_size=1))
def test_the_logistic_function(values: list[float]) -> None:
    exact = 1 / (1 + np.exp(-np.array(values)))
    np.testing.assert_allclose(logistic(fixed_point(*values)) / TOTAL, exact, rtol=0, atol=1e-4)


@given(st.floats(-40, 40))
def test_frequencies_of_a_one_are_the_logistic_function(logit: float) -> None:
    (frequency,) = bernoulli_frequencies(fixed_point(logit))
    assert 1 <= frequency <= TOTAL - 1
    assert frequency / TOTAL == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-3)


@settings(max_examples=50)
@given(st.data())
def test_symbols_are_popped_in_reverse_order(data: st.DataObject) -> None:
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    coder = Coder()
    pushed = []
    for _ in range(data.draw(st.integers(1, 6))):
        n, n_symbols = int(draw.integers(1, 30)), int(draw.integers(2, 50))
        edges = np.sort(draw.choice(TOTAL - 1, (n, n_symbols - 1), replace=False) + 1, axis=1)
        frequencies = np.diff(edges, axis=1, prepend=0, append=TOTAL)
        symbols = draw.integers(0, n_symbols, n)
        bits, bit_frequencies = draw.integers(0, 2, n), draw.integers(1, TOTAL, n)
        coder.push(symbols, frequencies)
        coder.push(bits, bit_frequencies, BERNOULLI)
        coder.push_iid(symbols, frequencies[0])
        pushed.append((symbols, frequencies, bits, bit_frequencies))
    decoder = Coder(coder.words())
    for symbols, frequencies, bits, bit_frequencies in reversed(pushed):
        np.testing.assert_array_equal(decoder.pop_iid(len(symbols), frequencies[0]), symbols)
        np.testing.assert_array_equal(decoder.pop(bit_frequencies, BERNOULLI), bits)
        np.testing.assert_array_equal(decoder.pop(frequencies), symbols)
    assert len(decoder.words()) == 0


def test_the_words_are_as_long_as_the_information() -> None:
    frequencies = np.array([TOTAL // 2, TOTAL // 4, TOTAL // 8, TOTAL // 8], dtype=np.int64)
    symbols = np.random.default_rng(0).choice(4, 20_000, p=frequencies / TOTAL)
    coder = Coder()
    coder.push_iid(symbols, frequencies)
    information = -np.log2(frequencies[symbols] / TOTAL).sum()
    assert 32 * len(coder.words()) == pytest.approx(information, rel=0.003)
