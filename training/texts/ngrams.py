"""Interpolated Kneser-Ney n-gram models, the baseline of language models. Shapes: `T` tokens, `G` distinct n-grams."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.integer[Any]]
_Ids = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """One order's n-grams. An n-gram's id is its place in `keys`; its key is id of all but its last token, last token.

    The arrays of probabilities end in the value for what was never seen, whose id is -1.
    """

    keys: _Ids
    """`[G]`, ascending: id of the context times the vocabulary's size, plus the token."""
    shares: _Floats
    """`[G + 1]`: what an n-gram's discounted count gives its token."""
    backoffs: _Floats
    """`[G' + 1]`, of the contexts: what is left for the order below."""

    def ids(self, keys: _Ids) -> _Ids:
        """Of n-grams `[T]`."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


@dataclass(frozen=True, slots=True, eq=False)
class KneserNey:
    """p(w | c) = (max(0, n(c w) - D) + D n_kinds(c) p(w | c without its first token)) / n(c), down to 1 / `vocab_size`.

    n counts occurrences at the highest order, below it the different tokens an n-gram comes after; n(c) sums n(c w) and
    n_kinds(c) counts the w for which it is above zero. Where n(c) = 0 the order below decides alone. Each order has its
    own discount D = n1 / (n1 + 2 n2), of its n-grams counted once and twice; 1/2 where none is counted once, so that
    something is left for the order below.

    Source: Chen and Goodman 1998, section 4.1.6; Ney et al. 1994; the discount's fallback is KenLM's.
    """

    vocab_size: int
    levels: tuple[_Level, ...]

    @classmethod
    def fit(cls, tokens: _Ints, vocab_size: int, order: int = 5) -> "KneserNey":
        """To tokens `[T]`, in 0..`vocab_size` - 1."""
        row = _checked(tokens, vocab_size)
        if not 1 <= order <= len(row):
            raise ValueError(f"order {order} is not from 1 to {len(row)}, the number of tokens")
        levels: list[_Level] = []
        ids = np.zeros(len(row) + 1, np.int64)  # of the empty n-gram before each token and after the last
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
        """Of each of `[T]` after those before it, `order` - 1 at most; the first have shorter contexts."""
        row = _checked(tokens, self.vocab_size)
        probs = np.full(len(row), 1 / self.vocab_size)
        contexts = np.zeros(len(row) + 1, np.int64)
        for n, level in enumerate(self.levels):
            contexts = contexts[:-1]
            ids = level.ids(contexts * self.vocab_size + row[n:])
            probs[n:] = level.shares[ids] + level.backoffs[contexts] * probs[n:]
            contexts = ids
        logarithms: _Floats = np.log2(probs)
        return logarithms


def _level(keys: _Ids, counts: _Ids, n_contexts: int, vocab_size: int) -> _Level:
    """Of counts `[G]`; zero is the count of an n-gram that is only at the very start, after no token."""
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
    """As signed integers: numpy adds the unsigned of 64 bits to them as floats."""
    if tokens.ndim != 1:
        raise ValueError(f"tokens of shape {tokens.shape} are not a row")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise ValueError(f"tokens from {tokens.min()} to {tokens.max()} are not in 0..{vocab_size - 1}")
    return tokens.astype(np.int64)
