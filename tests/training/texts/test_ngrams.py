"""Tests of the n-gram model against its definition, and that it is a distribution."""

import math
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.texts.ngrams import KneserNey

Gram = tuple[int, ...]


def counts(tokens: list[int], n: int, order: int) -> Counter[Gram]:
    """Count occurrences at the highest order, and below it the different preceding tokens."""
    if n == order:
        return Counter(tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1))
    return Counter(gram[1:] for gram in {tuple(tokens[at : at + n + 1]) for at in range(len(tokens) - n)})


def prob(tables: list[Counter[Gram]], context: Gram, token: int, vocab_size: int) -> float:
    """Return the probability by Chen and Goodman's recursion; `tables` are the counts by order, 0 unused."""
    table = tables[len(context) + 1]
    lower = prob(tables, context[1:], token, vocab_size) if context else 1 / vocab_size
    followers = {gram[-1]: count for gram, count in table.items() if gram[:-1] == context}
    if not followers:
        return lower
    sizes = Counter(table.values())
    discount = sizes[1] / (sizes[1] + 2 * sizes[2]) if sizes[1] else 0.5
    left = discount * len(followers) / sum(followers.values())
    return max(followers.get(token, 0) - discount, 0) / sum(followers.values()) + left * lower


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, list[int], list[int]]:
    order, vocab_size = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    token = st.integers(0, vocab_size - 1)
    fitted = draw(st.lists(token, min_size=order, max_size=60))
    return order, vocab_size, fitted, draw(st.lists(token, max_size=20))


@given(cases())
def test_kneser_ney_equals_its_definition(case: tuple[int, int, list[int], list[int]]) -> None:
    order, vocab_size, fitted, row = case
    tables = [Counter(), *(counts(fitted, n, order) for n in range(1, order + 1))]
    model = KneserNey.fit(np.array(fitted), vocab_size, order)
    for tokens in (row, fitted):
        expected = [
            math.log2(prob(tables, tuple(tokens[max(0, at - order + 1) : at]), token, vocab_size))
            for at, token in enumerate(tokens)
        ]
        np.testing.assert_allclose(model.log2_probs(np.array(tokens, int)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", range(1, 6))
def test_kneser_ney_is_a_distribution_after_every_context(order: int) -> None:
    generator = np.random.default_rng(0)
    tokens = generator.choice(3, 60, p=[0.7, 0.25, 0.05]).astype(np.uint16)
    model = KneserNey.fit(tokens, vocab_size=4, order=order)  # so no context with a 3 was seen
    for context in product(range(4), repeat=order - 1):
        probs = [np.exp2(model.log2_probs(np.array([*context, token]))[-1]) for token in range(4)]
        assert sum(probs) == pytest.approx(1, abs=1e-12)
        assert min(probs) > 0


def test_kneser_ney_by_hand() -> None:
    model = KneserNey.fit(np.array([0, 1, 0, 1, 0, 2]), vocab_size=4, order=2)
    # Bigrams 01 twice, 10 twice, 02 once: D = 1 / (1 + 2 * 2). Tokens before 0, 1 and 2: one each, so D = 1.
    lower = 1 / 4
    expected = [lower, (2 - 0.2) / 3 + 0.2 * 2 / 3 * lower, 0.2 * 1 / 2 * lower, lower]
    np.testing.assert_allclose(np.exp2(model.log2_probs(np.array([0, 1, 3, 0]))), expected)


def test_unseen_tokens_keep_a_share_where_every_ngram_is_common() -> None:
    model = KneserNey.fit(np.array([0] * 10 + [1] * 10), vocab_size=4, order=1)
    expected = [9.5 / 20 + 0.5 * 2 / 20 / 4, 0.5 * 2 / 20 / 4]
    np.testing.assert_allclose(np.exp2(model.log2_probs(np.array([0, 3]))), expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint64])
def test_tokens_may_be_any_integers(dtype: type[np.integer[Any]]) -> None:
    tokens = np.random.default_rng(0).integers(0, 5, 200)
    expected = KneserNey.fit(tokens, vocab_size=5).log2_probs(tokens)
    same = tokens.astype(dtype)
    np.testing.assert_array_equal(KneserNey.fit(same, vocab_size=5).log2_probs(same), expected)


def test_a_large_vocabulary_and_a_high_order_do_not_collide() -> None:
    tokens = np.random.default_rng(0).integers(8190, 8192, 2000).astype(np.uint16)
    high = KneserNey.fit(tokens, vocab_size=8192).log2_probs(tokens)
    low = KneserNey.fit(tokens - 8190, vocab_size=8192).log2_probs(tokens - 8190)
    np.testing.assert_array_equal(high, low)


def test_a_pattern_is_learnt_from_all_of_its_context() -> None:
    tokens = np.tile([0, 0, 1, 0, 2], 200)
    longer, shorter = (KneserNey.fit(tokens, 3, order).log2_probs(tokens).mean() for order in (3, 1))
    assert longer > -0.02
    assert shorter < -1.3


def test_kneser_ney_refuses_bad_tokens_and_orders() -> None:
    with pytest.raises(ValueError, match=r"0\.\.3"):
        KneserNey.fit(np.array([0, 4]), vocab_size=4, order=1)
    with pytest.raises(ValueError, match="-1"):
        KneserNey.fit(np.array([0, 1]), vocab_size=4, order=1).log2_probs(np.array([-1]))
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        KneserNey.fit(np.array([[0, 1]]), vocab_size=4, order=1)
    for order in (0, 3):
        with pytest.raises(ValueError, match=f"order {order}"):
            KneserNey.fit(np.array([0, 1]), vocab_size=4, order=order)
