"""A batch of texts of mixed length as one row of tokens, without padding.

Shapes: `B` texts, `T` tokens of one text, `N` tokens of all texts.
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
    """Texts whose tokens lie in one row, one text after the other.

    The row may end with filler tokens, each a segment of its own, which belong to no text.

    Attributes:
        host_ids: token ids and type ids as they were given, two of `[N]`, int64; on the CPU if made of `Tokens`.
        segments: where each text lies in the row.
        order: `order[i]` is the index, among the given texts, of the i-th text in the row.
        texts: the given texts; empty if the batch was not made of `Tokens`.
    """

    def __init__(
        self,
        token_ids: Tensor,
        type_ids: Tensor,
        segments: Segments,
        order: Sequence[int],
        texts: Sequence[Tokens] = (),
    ) -> None:
        self.host_ids = token_ids, type_ids
        self.segments, self.order, self.texts = segments, order, texts

    @cached_property
    def token_ids(self) -> Tensor:
        """Token ids on the device of the segments, `[N]`."""
        return to_device(self.host_ids[0], self.segments.device)

    @cached_property
    def type_ids(self) -> Tensor:
        """Token types on the device of the segments, `[N]`."""
        return to_device(self.host_ids[1], self.segments.device)

    @cached_property
    def inverse_order(self) -> list[int]:
        """Index in the row of each given text: the inverse of `order`.

        Values `[B, …]` of the texts in the row, indexed by it, are in the order in which the texts were given.
        """
        return sorted(range(len(self.order)), key=self.order.__getitem__)

    @classmethod
    def of_texts(cls, texts: Sequence[Tokens], device: torch.device | str = "cpu", *, multiple: int = 1) -> Self:
        """Return a batch with the shortest text first, so that texts of equal length lie side by side.

        Filler tokens extend the row to a multiple of `multiple`.
        """
        given_lengths = [len(text.ids) for text in texts]
        order = sorted(range(len(texts)), key=given_lengths.__getitem__)
        ordered = [texts[index] for index in order]
        lengths = [given_lengths[index] for index in order]
        n_fillers = -sum(lengths) % multiple
        token_ids = _concatenate([text.ids for text in ordered], n_fillers)
        type_ids = _concatenate([text.type_ids for text in ordered], n_fillers)
        return cls(token_ids, type_ids, Segments(lengths + [1] * n_fillers, device), order, texts)

    @classmethod
    def of_rows(cls, rows: Tensor, lengths: Sequence[int] | None = None, type_rows: Tensor | None = None) -> Self:
        """Return a batch of padded texts `[B, T]`, in the given order.

        The first `lengths` tokens of each row count, all if None; the token types `[B, T]` are 0 if None.
        """
        lengths = [rows.shape[1]] * len(rows) if lengths is None else lengths
        types = torch.zeros_like(rows) if type_rows is None else type_rows
        token_ids, type_ids = (remove_padding(values, lengths).long() for values in (rows, types))
        return cls(token_ids, type_ids, Segments(lengths, rows.device), range(len(rows)))

    def token_rows(self, positions: Sequence[Sequence[int]]) -> Tensor:
        """Return where in the row the tokens at these positions of each given text are, text after text: `[n]`."""
        firsts, _ = self.segments.spans
        rows = [
            firsts[index] + position
            for index, of_text in zip(self.inverse_order, positions, strict=True)
            for position in of_text
        ]
        return to_device(torch.tensor(rows), self.segments.device)

    def by_text(self, values: Tensor) -> Iterator[Tensor]:
        """Split values `[N, …]` into one `[T, …]` for each text, in the order in which the texts were given."""
        parts = self.segments.split(values)
        return (parts[index] for index in self.inverse_order)


def _concatenate(arrays: list[NDArray[np.int64]], n_fillers: int) -> Tensor:
    """Join arrays `[T]` and `n_fillers` zeros to one tensor `[N]`; a single array is not copied."""
    if n_fillers:
        arrays.append(np.zeros(n_fillers, np.int64))
    return torch.from_numpy(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))


def remove_padding(rows: Tensor, lengths: Sequence[int]) -> Tensor:
    """Join the first `lengths` elements of the rows `[B, T, …]`: `[N, …]`."""
    return torch.cat([row[:length] for row, length in zip(rows.unbind(), lengths, strict=True)])
