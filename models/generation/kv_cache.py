"""The keys and values that a decoder keeps of every token of its running sequences.

Shapes: `B` rows, one for each running sequence, `H` heads, `T` tokens that each row has room for, `d` width of a head,
`N` tokens of several rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from models.ops.cache import has_cpu_kernels, write_to_cache
from models.ops.devices import to_device

INITIAL_CAPACITY = 16
"""Number of tokens that each row of a new cache has room for."""
MAX_KEPT_BYTES = 2**24
"""Size of the largest room for keys and values, in bytes, that is kept on a CPU when all rows have ended."""


class DecoderCache(ABC):
    """What a decoder keeps of its rows from one step to the next. Row `i` belongs to the `i`-th running sequence."""

    @property
    @abstractmethod
    def lengths(self) -> list[int]:
        """Return the number of tokens that are kept of each row, `[B]`."""

    def __len__(self) -> int:
        return len(self.lengths)

    @abstractmethod
    def new_empty(self) -> Self:
        """Return a cache of the same shape without rows."""

    @abstractmethod
    def append(self, lengths: Sequence[int]) -> None:
        """Add rows of these lengths at the end; their keys and values are written afterwards."""

    @abstractmethod
    def adopt(self, other: Self, rows: Sequence[int], n_tokens: int | None = None) -> None:
        """Copy rows of another cache of the same shape to new rows at the end.

        With `n_tokens`, only the first `n_tokens` tokens of each row are copied.
        """

    @abstractmethod
    def rearrange(self, sources: Sequence[int]) -> None:
        """Let row `i` become what row `sources[i]` was, and drop the rows beyond. A row that stays is not copied."""

    @abstractmethod
    def drop_last_tokens(self) -> None:
        """Forget the last token of every row."""


@dataclass(frozen=True, kw_only=True)
class CacheShape:
    """The sizes of a decoder that decide the size of its cache, and where and in which type the decoder computes."""

    n_layers: int
    n_heads: int
    head_width: int
    dtype: torch.dtype
    device: torch.device


class CacheGraphs:
    """Base class of CUDA graphs that read and write a cache and therefore last as long as it."""


class KeyValueCache(DecoderCache):
    """Keys and values of all layers in one tensor, whose room for rows and for tokens grows by doubling.

    Without kernels for its type it starts as zeros, because what an attention mask hides must be a number all the same.
    On a CPU without such kernels, keys and values are kept in float32 whatever the model computes in: torch's attention
    of single tokens in bfloat16 takes six times as long.

    Attributes:
        has_kernel: whether the project's kernels for CPUs attend to this cache.
        copies_rows_singly: whether rows are copied one by one, which is four times as fast on a CPU. On a GPU each copy
            would be an operation to launch.
        graphs: CUDA graphs of the steps over this cache, once there are any.
        layers: the keys and the values of each layer with all room for rows and tokens, `[2, ≥ B, H, T, d]`.
        n_reallocations: how often the keys and values have moved to a larger tensor.
    """

    def __init__(self, shape: CacheShape) -> None:
        self.device = shape.device
        self.has_kernel = has_cpu_kernels(shape.dtype, shape.device)
        self.copies_rows_singly = shape.device.type == "cpu"
        self.graphs: CacheGraphs | None = None
        self.n_reallocations = 0
        self._lengths: list[int] = []
        self._shape = shape
        dtype = torch.float32 if shape.device.type == "cpu" and not self.has_kernel else shape.dtype
        size = (shape.n_layers, 2, 0, shape.n_heads, INITIAL_CAPACITY, shape.head_width)
        self._memory = torch.zeros(size, dtype=dtype, device=shape.device)  # [n_layers, 2, ≥ B, H, T, d]
        self.layers = self._memory.unbind()

    @property
    @override
    def lengths(self) -> list[int]:
        return self._lengths

    @override
    def new_empty(self) -> Self:
        return type(self)(self._shape)

    @override
    def append(self, lengths: Sequence[int]) -> None:
        self._lengths += lengths
        self._make_room()

    def extend(self, counts: Sequence[int]) -> None:
        """Lengthen the first rows by so many tokens; their keys and values are written afterwards."""
        grown = [length + count for length, count in zip(self._lengths, counts, strict=False)]
        self._lengths[: len(counts)] = grown
        self._make_room()

    def add_parts(self, lengths: Sequence[int]) -> list[int]:
        """Make room for parts of prompts, and return how many tokens of each prompt are kept already.

        The first parts extend the rows, in order; each of the others starts a new row.
        """
        n_old = min(len(self), len(lengths))
        starts = [*self._lengths[:n_old], *[0] * (len(lengths) - n_old)]
        self.extend(lengths[:n_old])
        self.append(lengths[n_old:])
        return starts

    @override
    def drop_last_tokens(self) -> None:
        self._lengths = [length - 1 for length in self._lengths]

    def write(self, layer: int, k: Tensor, v: Tensor, rows: Tensor, positions: Tensor) -> None:
        """Write keys and values `[N, H, d]` of tokens, given the row and the position of each, `[N]`, integers.

        On a GPU, tokens whose row is negative are left out.
        """
        write_to_cache(self.layers[layer], k, v, rows, positions)

    def gather(self, layer: int, rows: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and the values, `[N, H, d]`, of tokens, given the row and the position of each, `[N]`."""
        keys, values = self.layers[layer]
        return keys[rows, :, positions], values[rows, :, positions]

    @override
    def adopt(self, other: Self, rows: Sequence[int], n_tokens: int | None = None) -> None:
        first = len(self)
        whole = [other.lengths[row] for row in rows]
        self.append(whole if n_tokens is None else [min(length, n_tokens) for length in whole])
        if self.copies_rows_singly:
            for target, source in enumerate(rows, start=first):
                used = slice(0, self._lengths[target])
                self._memory[:, :, target, :, used] = other._memory[:, :, source, :, used]
        elif rows:
            used = slice(0, max(self._lengths[first:]))
            self._memory[:, :, first : len(self), :, used] = other._memory[:, :, self._row_index(rows), :, used]

    @override
    def rearrange(self, sources: Sequence[int]) -> None:
        self._lengths = [self._lengths[source] for source in sources]
        if not sources:
            self._give_room_back()
        self._make_room()
        moves = {target: source for target, source in enumerate(sources) if target != source}
        if not moves:
            return
        if self.copies_rows_singly:
            self._move_singly(moves)
            return
        used = slice(0, max(self._lengths[target] for target in moves))
        targets, origins = self._row_index([*moves]), self._row_index([*moves.values()])
        moved = self._memory[:, :, origins, :, used].clone()  # a target may be the source of another row
        self._memory[:, :, targets, :, used] = moved

    def _row_index(self, rows: Sequence[int]) -> slice | Tensor:
        """Return an index of rows. A slice for neighbouring rows saves a transfer to the device."""
        first, end = rows[0], rows[0] + len(rows)
        return slice(first, end) if [*rows] == [*range(first, end)] else to_device(torch.tensor(rows), self.device)

    def _move_singly(self, moves: Mapping[int, int]) -> None:
        """Copy rows, given the source of each target, in as few copies as possible."""
        memory = self._memory
        rows = {source: memory[:, :, source, :, : self._lengths[target]] for target, source in moves.items()}
        rows |= {source: rows[source].clone() for source in moves.keys() & rows.keys()}  # targets as well
        for target, source in moves.items():
            memory[:, :, target, :, : self._lengths[target]] = rows[source]

    def _give_room_back(self) -> None:
        """Free the room of rows and tokens that have ended, if it is much and no CUDA graph refers to it."""
        if self.device.type == "cpu" and self._memory.nbytes > MAX_KEPT_BYTES:
            n_layers, _, _, n_heads, _, width = self._memory.shape
            self._move_to(self._memory.new_zeros((n_layers, 2, 0, n_heads, INITIAL_CAPACITY, width)))

    def _make_room(self) -> None:
        """Move to a larger tensor, at least twice as large, if there are more or longer rows than there is room for."""
        n_layers, _, n_rows, n_heads, capacity, width = self._memory.shape
        longest = max(self._lengths, default=0)
        n_more_rows = n_rows if len(self) <= n_rows else max(len(self), 2 * n_rows)
        more_capacity = capacity if longest <= capacity else max(longest, 2 * capacity)
        size = (n_layers, 2, n_more_rows, n_heads, more_capacity, width)
        if size == self._memory.shape:
            return
        larger = self._memory.new_empty(size) if self.has_kernel else self._memory.new_zeros(size)
        larger[:, :, :n_rows, :, :capacity] = self._memory
        self._move_to(larger)

    def _move_to(self, memory: Tensor) -> None:
        self._memory, self.layers = memory, memory.unbind()
        self.n_reallocations += 1


@dataclass(frozen=True, eq=False)
class EncoderDecoderCache(DecoderCache):
    """The cache of an encoder-decoder: its own rows, and for each the keys and values of the source text."""

    own: KeyValueCache
    source: KeyValueCache

    @property
    @override
    def lengths(self) -> list[int]:
        """Return the number of tokens of the decoder's own rows, `[B]`."""
        return self.own.lengths

    @override
    def new_empty(self) -> Self:
        return type(self)(self.own.new_empty(), self.source.new_empty())

    @override
    def append(self, lengths: Sequence[int]) -> None:
        """Add rows of these lengths at the end, whose source texts are empty."""
        self.own.append(lengths)
        self.source.append([0] * len(lengths))

    @override
    def adopt(self, other: Self, rows: Sequence[int], n_tokens: int | None = None) -> None:
        """Copy rows of another cache; the source texts are copied as a whole."""
        self.own.adopt(other.own, rows, n_tokens)
        self.source.adopt(other.source, rows)

    @override
    def rearrange(self, sources: Sequence[int]) -> None:
        self.own.rearrange(sources)
        self.source.rearrange(sources)

    @override
    def drop_last_tokens(self) -> None:
        """Forget the last token of every row; the source texts stay."""
        self.own.drop_last_tokens()
