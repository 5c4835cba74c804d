"""Texts of mixed length as one flat row of tokens: nothing is padded, so nobody pays for a long neighbour.

Shapes: `B` texts, `N` tokens of all of them.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ops.devices import to_device
from models.ops.segments import Segments
from models.tasks.text import Tokens


class RaggedBatch:
    """Texts as one flat row.

    `order[i]` is the place, among the texts given, of the i-th in the row, which may have more at its end, that are
    nobody's.
    """

    def __init__(self, token_ids: Tensor, type_ids: Tensor, segments: Segments, order: Sequence[int]) -> None:
        """Two of `[N]`, anywhere."""
        self.given = token_ids, type_ids
        self.segments, self.order = segments, order

    @cached_property
    def token_ids(self) -> Tensor:
        """`[N]`, integers, where the segments are."""
        return to_device(self.given[0], self.segments.device)

    @cached_property
    def type_ids(self) -> Tensor:
        """The same."""
        return to_device(self.given[1], self.segments.device)

    @classmethod
    def of(cls, texts: Sequence[Tokens], device: torch.device | str = "cpu", *, step: int = 1) -> Self:
        """Texts of any length, the shortest first, so that those of equal length lie side by side.

        Texts of one token that are nobody's fill the row up to a multiple of `step`.
        """
        given = [len(text.ids) for text in texts]
        order = sorted(range(len(texts)), key=given.__getitem__)
        ordered = [texts[place] for place in order]
        lengths = [given[place] for place in order]
        n_more = -sum(lengths) % step
        nobodys = [np.zeros(n_more, np.int64)] if n_more else []
        token_ids = _row([text.ids for text in ordered] + nobodys)
        type_ids = _row([text.type_ids for text in ordered] + nobodys)
        return cls(token_ids, type_ids, Segments(lengths + [1] * n_more, device), order)

    @classmethod
    def of_rows(cls, rows: Tensor, lengths: Sequence[int] | None = None, type_rows: Tensor | None = None) -> Self:
        """Texts `[B, T]` in the order given, of which the first `lengths` tokens count, all where None; their types."""
        lengths = [rows.shape[1]] * len(rows) if lengths is None else lengths
        types = torch.zeros_like(rows) if type_rows is None else type_rows
        token_ids, type_ids = (flat_rows(values, lengths).long() for values in (rows, types))
        return cls(token_ids, type_ids, Segments(lengths, rows.device), range(len(rows)))

    @cached_property
    def places(self) -> list[int]:
        """Where in the row each of the texts given is: the inverse of `order`."""
        return sorted(range(len(self.order)), key=self.order.__getitem__)

    def in_order(self, values: Tensor) -> Tensor:
        """`[B, …]`, a value for each text of the row, in the order in which the texts were given."""
        return values[self.places]

    def rows(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Where in the row these tokens of each text are, in the order in which the texts were given: `[n]`."""
        firsts, _ = self.segments.spans
        rows = [firsts[place] + token for place, its in zip(self.places, tokens, strict=True) for token in its]
        return to_device(torch.tensor(rows), self.segments.device)

    def by_text(self, values: Tensor) -> Iterator[Tensor]:
        """`[N, …]` as one `[T, …]` a text, in the order in which the texts were given."""
        parts = self.segments.split(values)
        return (parts[place] for place in self.places)


def _row(parts: list[NDArray[np.int64]]) -> Tensor:
    """`[T]` each, one after the other: `[N]`, on the CPU; a part that is alone is not copied."""
    return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))


def flat_rows(rows: Tensor, lengths: Sequence[int]) -> Tensor:
    """`[B, T, …]`, of which the first `lengths` of each row count, one row after the other: `[N, …]`."""
    return torch.cat([row[:length] for row, length in zip(rows.unbind(), lengths, strict=True)])
