"""Placeholder: to be described."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ops.devices import to_device


def counted(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of parts of these lengths in a row, `[B]`: the part that each element belongs to, and its place there; `[N]`."""
    firsts = lengths.cumsum() - lengths
    owners = np.arange(len(lengths)).repeat(lengths)
    return owners, np.arange(len(owners)) - firsts[owners]


class Segments:
    """Where each of `B` texts lies in a flat row of `N` tokens, one after the other, each of at least one token."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.lengths = tuple(lengths)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def bounds(self) -> Tensor:
        """Each text's first token, and `N`: `[B + 1]`, int32, as kernels for rows of variable length take it."""
        return to_device(torch.tensor([*accumulate(self.lengths, initial=0)], dtype=torch.int32), self.device)

    @cached_property
    def first(self) -> Tensor:
        """The index of each text's first token: `[B]`."""
        return self.bounds[:-1].long()

    @cached_property
    def last(self) -> Tensor:
        """The index of each text's last token: `[B]`."""
        return self.bounds[1:].long() - 1

    @cached_property
    def positions(self) -> Tensor:
        """Each token's place in its text, from 0: `[N]`."""
        return to_device(torch.from_numpy(self.counted[1]), self.device)

    @cached_property
    def owners(self) -> Tensor:
        """The text each token belongs to: `[N]`."""
        return to_device(torch.from_numpy(self.counted[0]), self.device)

    @cached_property
    def counted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The text each token belongs to, and its place there: two of `[N]`, on the CPU."""
        return counted(np.array(self.lengths, np.int64))

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """Each text's first token, and its end: `[2, B]`, on the CPU."""
        ends = np.cumsum(self.lengths)
        return np.stack([ends - self.lengths, ends])

    @cached_property
    def runs(self) -> tuple[tuple[slice, int, int], ...]:
        """Neighbours of equal length: their tokens, how many texts, and the length."""
        runs: list[tuple[slice, int, int]] = []
        start = 0
        for length, texts in groupby(self.lengths):
            n_texts = sum(1 for _ in texts)
            runs.append((slice(start, start + n_texts * length), n_texts, length))
            start += n_texts * length
        return tuple(runs)

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """`[N, …]` as one `[T, …]` a text."""
        return torch.split(values, list(self.lengths))


def joined(parts: list[Tensor]) -> Tensor:
    """One after the other; a part that is alone is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
