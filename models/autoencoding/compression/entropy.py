"""Entropy coding with integer tables: no float ever decides a symbol, so every machine reads what any other wrote.

Fixed point: an integer n of `FRACTION` bits stands for n / 2**FRACTION. Frequencies are integers that sum to
`TOTAL`; the coder (constriction's ANS stack) gets them as floats that hold them exactly.
"""

from decimal import Decimal, localcontext
from functools import cache

import constriction
import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


FRACTION = 12


PRECISION = 22


TOTAL = 2**PRECISION
"""Sum of all frequencies of a symbol; the coder itself works with 24 bits."""


_RANGE = 8
"""Deviations from the mean that the table of the normal distribution covers on either side."""


_STEP_BITS = 8
"""The table has 2**_STEP_BITS entries a deviation, and is read linearly between them."""


_categorical = constriction.stream.model.Categorical(perfect=False)


_bernoulli = constriction.stream.model.Bernoulli(perfect=False)


class Coder:
    """A stack of symbols: what was pushed last is popped first (Duda 2009)."""

    def __init__(self, words: NDArray[np.uint32] | None = None) -> None:
        self._ans = (
            constriction.stream.stack.AnsCoder(words) if words is not None else constriction.stream.stack.AnsCoder()
        )

    def push(self, symbols: Integers, frequencies: Integers) -> None:
        """Push `symbols` `[n]`, the last one first; `frequencies` `[n, n_symbols]` sum to `TOTAL` in each row."""
        self._ans.encode_reverse(symbols.astype(np.int32), _categorical, frequencies / TOTAL)

    def pop(self, frequencies: Integers) -> Integers:
        """Pop one symbol for each row of `frequencies`."""
        return np.asarray(self._ans.decode(_categorical, frequencies / TOTAL), dtype=np.int64)

    def push_alike(self, symbols: Integers, frequencies: Integers) -> None:
        """Push `symbols` that all have the same `frequencies` `[n_symbols]`."""
        model = constriction.stream.model.Categorical(frequencies / TOTAL, perfect=False)
        self._ans.encode_reverse(symbols.astype(np.int32), model)

    def pop_alike(self, n: int, frequencies: Integers) -> Integers:
        """Pop `n` symbols that all have the same frequencies."""
        model = constriction.stream.model.Categorical(frequencies / TOTAL, perfect=False)
        return np.asarray(self._ans.decode(model, n), dtype=np.int64)

    def push_bits(self, bits: Integers, frequencies: Integers) -> None:
        """Push zeros and ones `[n]`; `frequencies` `[n]`, in 1 to `TOTAL` - 1, are those of one."""
        self._ans.encode_reverse(bits.astype(np.int32), _bernoulli, frequencies / TOTAL)

    def pop_bits(self, frequencies: Integers) -> Integers:
        """Pop a zero or one for each of `frequencies`."""
        return np.asarray(self._ans.decode(_bernoulli, frequencies / TOTAL), dtype=np.int64)

    def words(self) -> NDArray[np.uint32]:
        """All that was pushed and not popped."""
        return np.asarray(self._ans.get_compressed(), dtype=np.uint32)


def normal_frequencies(edges: Integers, means: Integers, inverse_deviations: Integers) -> Integers:
    """Frequencies `[n, len(edges) + 1]` of the intervals between ascending `edges` under n normal distributions.

    All three are fixed-point numbers. Every frequency is at least 1, so that no symbol is impossible.
    """
    z = (edges[None, :] - means[:, None]) * inverse_deviations[:, None]  # 2 FRACTION bits
    below = _normal_cdf(z >> FRACTION)  # (n, edges), in 0 .. TOTAL
    n_symbols = len(edges) + 1
    spread = TOTAL - n_symbols
    cumulative = np.concatenate(
        [np.zeros((len(means), 1), np.int64), below * spread // TOTAL, np.full((len(means), 1), spread, np.int64)],
        axis=1,
    )
    return np.diff(cumulative, axis=1) + 1


def normal_quantiles(masses: Integers) -> Integers:
    """Fixed-point z for which `TOTAL` * P(Z < z) is each of `masses`, in 1 to `TOTAL` - 1."""
    table = _normal_table()
    step = 1 << (FRACTION - _STEP_BITS)
    right = np.minimum(np.searchsorted(table, masses, side="right"), len(table) - 1)
    low, high = table[right - 1], table[right]
    beyond = (masses - low) * step // np.maximum(high - low, 1)
    quantiles: Integers = (right - 1) * step + beyond - (_RANGE << FRACTION)
    return quantiles


def bernoulli_frequencies(logits: Integers) -> Integers:
    """Frequencies of one, for fixed-point `logits`."""
    table = _sigmoid_table()
    step = 1 << (FRACTION - _STEP_BITS)
    return table[np.clip((logits + step // 2) // step + len(table) // 2, 0, len(table) - 1)]


def _normal_cdf(z: Integers) -> Integers:
    """TOTAL * P(Z < z) for fixed-point z, between the table's entries by linear interpolation."""
    table = _normal_table()
    step = 1 << (FRACTION - _STEP_BITS)
    place = np.clip(z + (_RANGE << FRACTION), 0, (2 * _RANGE << FRACTION) - 1)
    left, right = table[place // step], table[place // step + 1]
    return left + (right - left) * (place % step) // step


@cache
def _normal_table() -> Integers:
    """TOTAL * P(Z < z) at every step from -_RANGE to _RANGE, by the series of the error function, in decimals."""
    n_steps = _RANGE << _STEP_BITS
    with localcontext() as context:
        context.prec = 60
        root = (2 * Decimal("3.14159265358979323846264338327950288419716939937510")).sqrt()
        upper = []
        for n in range(n_steps + 1):
            z = Decimal(n) / (1 << _STEP_BITS)
            term = total = z
            k = 0
            while abs(term) > Decimal(10) ** -30:
                k += 1
                term *= -z * z * (2 * k - 1) / (2 * k * (2 * k + 1))
                total += term
            upper.append(int((Decimal("0.5") + total / root) * TOTAL))
    return np.array([TOTAL - value for value in reversed(upper[1:])] + upper, dtype=np.int64)


@cache
def _sigmoid_table() -> Integers:
    """TOTAL / (1 + exp(-x)) at every step of x in [-16, 16], at least 1 and at most TOTAL - 1."""
    n_steps = 16 << _STEP_BITS
    with localcontext() as context:
        context.prec = 40
        values = [int(TOTAL / (1 + (-Decimal(n) / (1 << _STEP_BITS)).exp())) for n in range(-n_steps, n_steps + 1)]
    return np.clip(np.array(values, dtype=np.int64), 1, TOTAL - 1)
