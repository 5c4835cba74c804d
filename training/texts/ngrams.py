"""Interpolated Kneser-Ney n-gram models, a baseline for language models. Shapes: `T` tokens, `G` distinct n-grams."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.integer[Any]]
_Ids = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """The n-grams of one order; the id of an n-gram is its index in `keys`.

    The context of an n-gram is the n-gram without its last token. Both arrays of probabilities end with the value for
    unseen n-grams, whose id is -1.
    """

    keys: _Ids
    """Ascending keys `[G]`: the id of the context times the vocabulary size, plus the last token."""
    shares: _Floats
    """Probability `[G + 1]` that the discounted count of each n-gram gives to its last token."""
    backoffs: _Floats
    """Probability `[G' + 1]` that each of the G' contexts leaves to the order below."""

    def ids(self, keys: _Ids) -> _Ids:
        """Return the ids of n-grams with these keys, `[T]`, -1 for unseen ones."""
        indices = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[indices] == keys, indices, -1)


@dataclass(frozen=True, slots=True, eq=False)
class KneserNey:
    """An interpolated Kneser-Ney model with one discount per order.

    p(w | c) = (max(0, n(c w) - D) + D n_kinds(c) p(w | c without its first token)) / n(c), down to 1 / `vocab_size`.

    At the highest order, n counts occurrences; below it, n counts the different tokens that precede an n-gram. n(c)
    sums n(c w), and n_kinds(c) counts the w with n(c w) > 0. Where n(c) = 0, only the order below counts. Each order
    has its own discount D = n1 / (n1 + 2 n2), where n1 and n2 are its numbers of n-grams counted once and twice. D is
    1/2 where no n-gram is counted once, so that some probability is left for the order below.

    Source: Chen and Goodman 1998, section 4.1.6; Ney et al. 1994; the discount's fallback is KenLM's.
    """

    vocab_size: int
    levels: tuple[_Level, ...]

    @classmethod
    def fit(cls, tokens: _Ints, vocab_size: int, order: int = 5) -> "KneserNey":
        """Fit a model of n-grams up to `order` to tokens `[T]`, in 0..`vocab_size` - 1.

        Raises:
            ValueError: a token is out of range, or the order is not from 1 to T.
        """
        row = _checked(tokens, vocab_size)
        if not 1 <= order <= len(row):
            raise ValueError(f"order {order} is not from 1 to {len(row)}, the number of tokens")
        levels: list[_Level] = []
        ids = np.zeros(len(row) + 1, np.int64)  # the empty n-gram before each token and after the last
        keys, n_contexts = np.zeros(1, np.int64), 1
        for n in range(order):
            longer, firsts, longer_ids = np.unique(
                ids[:-1] * vocab_size + row[n:], return_index=True, return_inverse=True
            )
            if n:
                counts = np.bincount(ids[1:][firsts], minlength=len(keys))
                levels.append(_level(keys, counts, n_contexts, vocab_size))
                n_contexts = len(keys)
            keys, ids = longer, longer_ids
        return cls(vocab_size, (*levels, _level(keys, np.bincount(ids), n_contexts, vocab_size)))

    def log2_probs(self, tokens: _Ints) -> _Floats:
        """Return the log2 probability of each of `[T]` tokens given up to `order` - 1 tokens before it."""
        row = _checked(tokens, self.vocab_size)
        probs = np.full(len(row), 1 / self.vocab_size)
        contexts = np.zeros(len(row) + 1, np.int64)
        for n, level in enumerate(self.levels):
            contexts = contexts[:-1]
            ids = level.ids(contexts * self.vocab_size + row[n:])
            probs[n:] = level.shares[ids] + level.backoffs[contexts] * probs[n:]
            contexts = ids
        log_probs: _Floats = np.log2(probs)
        return log_probs


def _level(keys: _Ids, counts: _Ids, n_contexts: int, vocab_size: int) -> _Level:
    """Build one order from counts `[G]`; an n-gram counts 0 if it occurs only at the very start of the tokens."""
    contexts = keys // vocab_size
    totals = np.bincount(contexts, counts, n_contexts)
    kinds = np.bincount(contexts, counts > 0, n_contexts)
    discount = _discount(counts)
    backoffs = np.divide(discount * kinds, totals, out=np.ones(n_contexts), where=totals > 0)
    shares = np.maximum(counts - discount, 0) / np.maximum(totals, 1)[contexts]
    return _Level(keys, np.append(shares, 0.0), np.append(backoffs, 1.0))


def _discount(counts: _Ids) -> float:
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    return once / (once + 2 * twice) if once else 0.5


def _checked(tokens: _Ints, vocab_size: int) -> _Ids:
    """Return tokens as signed integers, since NumPy adds unsigned 64-bit integers to signed ones as floats."""
    if tokens.ndim != 1:
        raise ValueError(f"tokens of shape {tokens.shape} are not one row")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise ValueError(f"tokens from {tokens.min()} to {tokens.max()} are not in 0..{vocab_size - 1}")
    return tokens.astype(np.int64)
