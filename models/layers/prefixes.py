"""Prompts that begin alike are read once."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

MIN_PREFIX = 16
"""Tokens: what is shorter is read as fast as it is looked up."""


@dataclass(frozen=True, slots=True, eq=False)
class _Remembered:
    prompt: Tensor
    cache: Any


class Prefixes:
    """The keys and values of prompts read lately, `n_tokens` of them at most; the longest unused go first."""

    def __init__(self, n_tokens: int) -> None:
        self._room = n_tokens
        self._remembered: list[_Remembered] = []

    def begin(self, prompt: Tensor, cache: Any) -> int:
        """A new row of the cache with what is known of the prompt, and how many tokens that is.

        The last token is always to be read, for what follows it is to be known.
        """
        best, n_best = None, MIN_PREFIX - 1
        for one in self._remembered:
            n_alike = _n_alike(one.prompt, prompt[:-1])
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
        self._remembered = [one for one in self._remembered if _n_alike(one.prompt, prompt) < len(one.prompt)]
        while sum(len(one.prompt) for one in self._remembered) + len(prompt) > self._room:
            del self._remembered[0]
        own = cache.alike()
        own.adopt(cache, [row])
        self._remembered.append(_Remembered(prompt, own))


def _n_alike(one: Tensor, other: Tensor) -> int:
    """The tokens of both before they part."""
    n = min(len(one), len(other))
    differing = (one[:n] != other[:n]).nonzero()
    return int(differing[0]) if len(differing) else n
