"""Entropy coding with integer frequencies.

No symbol depends on floating-point arithmetic, so that every machine can read what any other has written. The
fixed-point number n stands for n / 2**`FRACTION_BITS`. Frequencies are integers that sum to `TOTAL`; the coder, an ANS
stack of the library constriction, gets them as floats that represent them exactly.
"""

from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

FRACTION_BITS = 12
TOTAL = 2**22
"""Sum of the frequencies of all symbols. The library itself works with 24 bits."""
MAX_DEVIATIONS = 8
"""Number of standard deviations on either side of the mean that the table of the normal distribution covers."""
MAX_LOGIT = 16
"""Largest magnitude of a logit in the table of the logistic function."""
STEP_BITS = 8
"""Logarithm to the base 2 of the number of entries in a unit of a table's argument."""
STEP = 1 << (FRACTION_BITS - STEP_BITS)
"""Distance between two entries of a table, in fixed point."""

CATEGORICAL = constriction.stream.model.Categorical(perfect=False)
"""The distribution of symbols `[n]`, each with frequencies of its own, `[n, n_symbols]`."""
BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
"""The distribution of zeros and ones `[n]`. Their frequencies `[n]` are those of a one, from 1 to `TOTAL` - 1."""


class Coder:
    """A stack of symbols: the last one pushed is the first one popped.

    Source: Duda 2009 (asymmetric numeral systems).
    """

    def __init__(self, words: NDArray[np.uint32] | None = None) -> None:
        """Start with an empty stack, or with one that `words` has returned."""
        stack = constriction.stream.stack
        self._ans = stack.AnsCoder() if words is None else stack.AnsCoder(words)

    def push(self, symbols: Integers, frequencies: Integers, distribution: Any = CATEGORICAL) -> None:
        """Push symbols `[n]`, the last one first. Row i of the frequencies is those of symbol i."""
        self._ans.encode_reverse(symbols.astype(np.int32), distribution, frequencies / TOTAL)

    def pop(self, frequencies: Integers, distribution: Any = CATEGORICAL) -> Integers:
        """Pop a symbol for each row of the frequencies."""
        return np.asarray(self._ans.decode(distribution, frequencies / TOTAL), dtype=np.int64)

    def push_iid(self, symbols: Integers, frequencies: Integers) -> None:
        """Push symbols `[n]` that all have the same frequencies `[n_symbols]`."""
        model = constriction.stream.model.Categorical(frequencies / TOTAL, perfect=False)
        self._ans.encode_reverse(symbols.astype(np.int32), model)

    def pop_iid(self, n: int, frequencies: Integers) -> Integers:
        """Pop `n` symbols that all have the same frequencies `[n_symbols]`."""
        model = constriction.stream.model.Categorical(frequencies / TOTAL, perfect=False)
        return np.asarray(self._ans.decode(model, n), dtype=np.int64)

    def words(self) -> NDArray[np.uint32]:
        """Return the content of the stack."""
        return np.asarray(self._ans.get_compressed(), dtype=np.uint32)


def normal_frequencies(edges: Integers, means: Integers, inverse_deviations: Integers) -> Integers:
    """Return the frequencies of the intervals between ascending edges under n normal distributions.

    The arguments are fixed-point numbers; the result is `[n, len(edges) + 1]`. Every frequency is at least 1, so that
    every symbol can be encoded.
    """
    z = (edges[None, :] - means[:, None]) * inverse_deviations[:, None]  # 2 FRACTION_BITS
    below = _normal_cdf(z >> FRACTION_BITS)  # (n, edges), in 0 .. TOTAL
    n_symbols = len(edges) + 1
    spread = TOTAL - n_symbols
    cumulative = np.concatenate(
        [np.zeros((len(means), 1), np.int64), below * spread // TOTAL, np.full((len(means), 1), spread, np.int64)],
        axis=1,
    )
    return np.diff(cumulative, axis=1) + 1


def normal_quantiles(masses: Integers) -> Integers:
    """Return the fixed-point numbers z with `TOTAL` * P(Z < z) equal to the masses, which are 1 to `TOTAL` - 1."""
    table = _normal_table()
    right = np.minimum(np.searchsorted(table, masses, side="right"), len(table) - 1)
    low, high = table[right - 1], table[right]
    offset = (masses - low) * STEP // np.maximum(high - low, 1)
    quantiles: Integers = (right - 1) * STEP + offset - (MAX_DEVIATIONS << FRACTION_BITS)
    return quantiles


def bernoulli_frequencies(logits: Integers) -> Integers:
    """Return the frequencies of a one for logits in fixed point."""
    table = _logistic_table()
    return table[np.clip((logits + STEP // 2) // STEP + len(table) // 2, 0, len(table) - 1)]


def softmax_frequencies(logits: Integers) -> Integers:
    """Return the frequencies of symbols for logits in fixed point, both `[n, n_symbols]`.

    Every frequency is at least 1. What rounding leaves over goes to the likeliest symbol, the first of several.
    """
    table = _exponential_table()
    below = logits.max(axis=1, keepdims=True) - logits
    weights = table[np.minimum((below + STEP // 2) // STEP, len(table) - 1)]
    spread = TOTAL - logits.shape[1]
    frequencies: Integers = weights * spread // weights.sum(axis=1, keepdims=True) + 1
    frequencies[np.arange(len(logits)), logits.argmax(axis=1)] += TOTAL - frequencies.sum(axis=1)
    return frequencies


def logistic(values: Integers) -> Integers:
    """Return `TOTAL` / (1 + exp(-x)) for x in fixed point, interpolated linearly in the table."""
    table = _logistic_table()
    position = np.clip(values + (MAX_LOGIT << FRACTION_BITS), 0, (2 * MAX_LOGIT << FRACTION_BITS) - 1)
    left, right = table[position // STEP], table[position // STEP + 1]
    return left + (right - left) * (position % STEP) // STEP


def _normal_cdf(z: Integers) -> Integers:
    """Return `TOTAL` * P(Z < z) for z in fixed point, interpolated linearly in the table."""
    table = _normal_table()
    position = np.clip(z + (MAX_DEVIATIONS << FRACTION_BITS), 0, (2 * MAX_DEVIATIONS << FRACTION_BITS) - 1)
    left, right = table[position // STEP], table[position // STEP + 1]
    return left + (right - left) * (position % STEP) // STEP


@cache
def _normal_table() -> Integers:
    """Return `TOTAL` * P(Z < z) at every step of z from -`MAX_DEVIATIONS` to `MAX_DEVIATIONS`.

    It is computed in decimals, from the Taylor series of the error function.
    """
    n_steps = MAX_DEVIATIONS << STEP_BITS
    with localcontext() as context:
        context.prec = 60
        root = (2 * Decimal("3.14159265358979323846264338327950288419716939937510")).sqrt()
        upper = []
        for n in range(n_steps + 1):
            z = Decimal(n) / (1 << STEP_BITS)
            term = total = z
            k = 0
            while abs(term) > Decimal(10) ** -30:
                k += 1
                term *= -z * z * (2 * k - 1) / (2 * k * (2 * k + 1))
                total += term
            upper.append(int((Decimal("0.5") + total / root) * TOTAL))
    return np.array([TOTAL - value for value in reversed(upper[1:])] + upper, dtype=np.int64)


@cache
def _logistic_table() -> Integers:
    """Return `TOTAL` / (1 + exp(-x)) at every step of x from -`MAX_LOGIT` to `MAX_LOGIT`, at least 1, below `TOTAL`."""
    n_steps = MAX_LOGIT << STEP_BITS
    with localcontext() as context:
        context.prec = 40
        values = [int(TOTAL / (1 + (-Decimal(n) / (1 << STEP_BITS)).exp())) for n in range(-n_steps, n_steps + 1)]
    return np.clip(np.array(values, dtype=np.int64), 1, TOTAL - 1)


@cache
def _exponential_table() -> Integers:
    """Return `TOTAL` * exp(-x) at every step of x from 0 to `MAX_LOGIT`."""
    with localcontext() as context:
        context.prec = 40
        values = [int(TOTAL * (-Decimal(n) / (1 << STEP_BITS)).exp()) for n in range((MAX_LOGIT << STEP_BITS) + 1)]
    return np.array(values, dtype=np.int64)
