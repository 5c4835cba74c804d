"""Texts of mixed length in one row of tokens, without padding."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate, groupby
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ops.devices import to_device

ValueT = TypeVar("ValueT")

BLOCK_TOKENS = 64
"""Maximum number of tokens of one text that a GPU kernel for attention computes at once."""


class Segments:
    """The places of `B` texts in a row of `N` tokens, one after the other, each of at least one token."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.lengths = tuple(lengths)
        self.device = torch.device(device)
        self._derived: dict[Callable[[Self], Any], Any] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def derived(self, compute: Callable[[Self], ValueT]) -> ValueT:
        """Return what a function computes from these segments. It is computed once."""
        if compute not in self._derived:
            self._derived[compute] = compute(self)
        value: ValueT = self._derived[compute]
        return value

    @cached_property
    def bounds(self) -> Tensor:
        """The index of each text's first token, then `N`: `[B + 1]`, int32."""
        bounds = torch.tensor([*accumulate(self.lengths, initial=0)], dtype=torch.int32)
        return to_device(bounds, self.device)

    @cached_property
    def first(self) -> Tensor:
        """The index of each text's first token: `[B]`, int64."""
        return self.bounds[:-1].long()

    @cached_property
    def last(self) -> Tensor:
        """The index of each text's last token: `[B]`, int64."""
        return self.bounds[1:].long() - 1

    @cached_property
    def positions(self) -> Tensor:
        """The position of each token in its text, from 0: `[N]`, int64."""
        _, positions = self.owners_and_positions
        return to_device(torch.from_numpy(positions), self.device)

    @cached_property
    def owners(self) -> Tensor:
        """The text that each token belongs to: `[N]`, int64."""
        owners, _ = self.owners_and_positions
        return to_device(torch.from_numpy(owners), self.device)

    @cached_property
    def owners_and_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The text that each token belongs to, and its position there: two of `[N]`, on the CPU."""
        lengths = np.array(self.lengths, np.int64)
        owners, firsts = np.arange(len(lengths)).repeat(lengths), lengths.cumsum() - lengths
        return owners, np.arange(len(owners)) - firsts[owners]

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """The index of each text's first token, and the index after its last one: `[2, B]`, on the CPU."""
        ends = np.cumsum(self.lengths)
        return np.stack([ends - self.lengths, ends])

    @cached_property
    def block_table(self) -> NDArray[np.int32]:
        """The blocks of `BLOCK_TOKENS` tokens or fewer that texts are divided into: `[3, n_blocks]`, on the CPU.

        The rows are the index of a block's first token, of its text's first token, and the one after its text's last.
        """
        blocks = Segments([-(-length // BLOCK_TOKENS) for length in self.lengths])
        owners, numbers = blocks.owners_and_positions
        firsts, ends = self.spans[:, owners]
        return np.stack([firsts + numbers * BLOCK_TOKENS, firsts, ends]).astype(np.int32)

    @cached_property
    def runs(self) -> tuple[tuple[slice, int, int], ...]:
        """Neighbours of equal length: the slice of their tokens, the number of texts, and the length."""
        runs: list[tuple[slice, int, int]] = []
        start = 0
        for length, texts in groupby(self.lengths):
            n_texts = sum(1 for _ in texts)
            runs.append((slice(start, start + n_texts * length), n_texts, length))
            start += n_texts * length
        return tuple(runs)

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Split `[N, …]` into one `[T, …]` for each text."""
        return torch.split(values, list(self.lengths))
