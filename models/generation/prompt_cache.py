"""Prompts that begin alike are read once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

MIN_PREFIX = 16
"""Tokens: what is shorter is read as fast as it is looked up."""


@dataclass(frozen=True, slots=True, eq=False)
class _Remembered:
    prompt: NDArray[np.int64]
    cache: Any


class PromptCache:
    """The keys and values of prompts read lately, `n_tokens` of them at most; the longest unused go first."""

    def __init__(self, n_tokens: int) -> None:
        self._room = n_tokens
        self._remembered: list[_Remembered] = []

    def begin(self, prompt: Tensor, cache: Any) -> int:
        """A new row of the cache with what is known of the prompt, and how many tokens that is.

        The last token is always to be read, for what follows it is to be known.
        """
        best, n_best = None, MIN_PREFIX - 1
        ids = prompt[:-1].numpy()
        for one in self._remembered:
            n_alike = _n_alike(one.prompt, ids)
            if n_alike > n_best:
                best, n_best = one, n_alike
        if best is None:
            cache.add([0])
            return 0
        self._remembered.remove(best)
        self._remembered.append(best)
        cache.adopt(best.cache, [0], n_best)
        return n_best

    def keep(self, prompt: Tensor, cache: Any, row: int) -> None:
        """Remember a prompt that a row of the cache has read, in place of those that it begins with."""
        if not MIN_PREFIX < len(prompt) <= self._room:
            return
        ids = prompt.numpy()
        self._remembered = [one for one in self._remembered if _n_alike(one.prompt, ids) < len(one.prompt)]
        while sum(len(one.prompt) for one in self._remembered) + len(prompt) > self._room:
            del self._remembered[0]
        own = cache.alike()
        own.adopt(cache, [row])
        self._remembered.append(_Remembered(ids, own))


def _n_alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """The tokens of both, `[T]` each, before they part."""
    n = min(len(one), len(other))
    if not n or one[0] != other[0]:
        return 0
    differs = one[:n] != other[:n]
    first = int(differs.argmax())
    return first if differs[first] else n
