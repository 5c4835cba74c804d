"""Keeps the keys and values of prompts, so that what several prompts begin with is read once."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.generation.kv_cache import DecoderCache

MIN_PREFIX_TOKENS = 16
"""Number of shared tokens from which a look-up pays: fewer are read as fast as they are copied."""

CacheT = TypeVar("CacheT", bound=DecoderCache)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[CacheT]):
    """A prompt, `[T]`, and a cache whose only row has read it."""

    ids: NDArray[np.int64]
    cache: CacheT


class PromptCache(Generic[CacheT]):
    """The keys and values of prompts that were read lately; those unused for longest are dropped first.

    Together they have at most `max_tokens` tokens.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._entries: list[_Entry[CacheT]] = []

    def start_row(self, prompt: Tensor, cache: CacheT) -> int:
        """Add a row to `cache` with the longest known beginning of a prompt, and return the length of that, or 0.

        `prompt` has the ids, `[T]`. Its last token is never taken from here, because the scores after it are needed.
        """
        best, n_best = None, MIN_PREFIX_TOKENS - 1
        ids = prompt[:-1].numpy()
        for entry in self._entries:
            n_shared = _n_shared(entry.ids, ids)
            if n_shared > n_best:
                best, n_best = entry, n_shared
        if best is None:
            cache.append([0])
            return 0
        self._entries.remove(best)
        self._entries.append(best)
        cache.adopt(best.cache, [0], n_best)
        return n_best

    def store(self, prompt: Tensor, cache: CacheT, row: int) -> None:
        """Keep a prompt that a row of `cache` has read. It replaces the prompts that are beginnings of it."""
        if not MIN_PREFIX_TOKENS < len(prompt) <= self._max_tokens:
            return
        ids = prompt.numpy()
        self._entries = [entry for entry in self._entries if _n_shared(entry.ids, ids) < len(entry.ids)]
        while sum(len(entry.ids) for entry in self._entries) + len(prompt) > self._max_tokens:
            del self._entries[0]
        own = cache.new_empty()
        own.adopt(cache, [row])
        self._entries.append(_Entry(ids, own))


def _n_shared(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Count the tokens with which both prompts, `[T]` each, begin."""
    n = min(len(first), len(second))
    if not n or first[0] != second[0]:
        return 0
    differs = first[:n] != second[:n]
    place = int(differs.argmax())
    return place if differs[place] else n
