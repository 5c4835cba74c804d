"""What a decoder remembers of its running sequences: the keys and values of every token so far.

Shapes: `B` running sequences, `H` heads, `T` tokens there is room for, `d` width of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from models.ops.cache import has_cpu_kernels, write_to_cache
from models.ops.devices import to_device

FIRST_ROOM = 16


@dataclass(frozen=True, kw_only=True)
class CacheShape:
    """Of the cache of one model."""

    n_layers: int
    n_heads: int
    head_width: int
    dtype: torch.dtype
    device: torch.device


class KeyValueCache:
    """Rows 0 to `B` - 1, each as long as its sequence. Room grows by doubling, in both directions. Without kernels it
    begins as zeros: what is masked must be a number all the same.

    `lengths[i]` is how many tokens of row i are remembered. On a CPU without kernels for its type they are kept in
    float32 whatever the model computes in, for torch's attention of single tokens in bfloat16 takes six times as long.
    """

    def __init__(self, shape: CacheShape) -> None:
        self.device = shape.device
        self.lengths: list[int] = []
        self.has_kernel = has_cpu_kernels(shape.dtype, shape.device)
        self.moves_one_by_one = shape.device.type == "cpu"
        """Rows, which is four times as fast there; on GPUs each would be an operation to be launched."""
        self.recorded: Any = None
        """What `models.layers.graphs` keeps of this cache."""
        self.n_moves = 0
        """How often all that is remembered has come to lie elsewhere."""
        self._shape = shape
        dtype = torch.float32 if shape.device.type == "cpu" and not self.has_kernel else shape.dtype
        size = (shape.n_layers, 2, 0, shape.n_heads, FIRST_ROOM, shape.head_width)
        self._keep(torch.zeros(size, dtype=dtype, device=shape.device))

    def __len__(self) -> int:
        return len(self.lengths)

    def alike(self) -> Self:
        """An empty one of the same shape."""
        return type(self)(self._shape)

    @property
    def n_rows(self) -> int:
        """There is room for."""
        return self._memory.shape[2]

    def add(self, lengths: Sequence[int]) -> None:
        """New rows at the end, whose keys and values `write` brings."""
        self.lengths += lengths
        self._make_room()

    def extend(self, counts: Sequence[int]) -> None:
        """So many tokens more in the first rows, whose keys and values `write` brings."""
        self.lengths[: len(counts)] = [length + n for length, n in zip(self.lengths, counts, strict=False)]
        self._make_room()

    def take_back(self) -> None:
        """Forget the last token of every row."""
        self.lengths = [length - 1 for length in self.lengths]

    def write(self, layer: int, k: Tensor, v: Tensor, places: tuple[Tensor, Tensor]) -> None:
        """Keys and values `[N, H, d]` of tokens; `places` are the row of each, and its place there: two of `[N]`."""
        write_to_cache(self._layers[layer], k, v, *places)

    def adopt(self, other: Self, rows: Sequence[int], n_tokens: int | None = None) -> None:
        """Rows of another cache of this shape become new ones at the end; of each, the first `n_tokens` where given."""
        first = len(self)
        self.add([min(other.lengths[row], n_tokens or other.lengths[row]) for row in rows])
        if self.moves_one_by_one:
            for target, source in enumerate(rows, start=first):
                used = slice(0, self.lengths[target])
                self._memory[:, :, target, :, used] = other._memory[:, :, source, :, used]
        elif rows:
            used = slice(0, max(self.lengths[first:]))
            self._memory[:, :, first : len(self), :, used] = other._memory[:, :, self._places(rows), :, used]

    def whole(self, layer: int) -> Tensor:
        """All there is room for, rows and tokens, of keys and of values: `[2, ≥ B, H, T, d]`."""
        return self._layers[layer]

    def tokens(self, layer: int, places: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values at these places, see `write`: two of `[N, H, d]`."""
        rows, tokens = places
        keys, values = self._layers[layer]
        return keys[rows, :, tokens], values[rows, :, tokens]

    def arrange(self, sources: Sequence[int]) -> None:
        """Row i becomes what row `sources[i]` was; rows beyond are forgotten. Rows that stay are not touched."""
        self.lengths = [self.lengths[source] for source in sources]
        self._make_room()
        moves = {target: source for target, source in enumerate(sources) if target != source}
        if not moves:
            return
        if self.moves_one_by_one:
            self._move_one_by_one(moves)
            return
        used = slice(0, max(self.lengths[target] for target in moves))
        to, of = self._places([*moves]), self._places([*moves.values()])
        self._memory[:, :, to, :, used] = self._memory[:, :, of, :, used].clone()  # targets may be sources

    def _places(self, rows: Sequence[int]) -> slice | Tensor:
        """Of neighbours a slice, for which nothing has to be sent to the device."""
        first, end = rows[0], rows[0] + len(rows)
        return slice(first, end) if [*rows] == [*range(first, end)] else to_device(torch.tensor(rows), self.device)

    def _move_one_by_one(self, moves: Mapping[int, int]) -> None:
        memory = self._memory
        rows = {source: memory[:, :, source, :, : self.lengths[target]] for target, source in moves.items()}
        rows |= {source: rows[source].clone() for source in moves.keys() & rows.keys()}  # they are written as well
        for target, source in moves.items():
            memory[:, :, target, :, : self.lengths[target]] = rows[source]

    def _make_room(self) -> None:
        n_layers, _, n_rows, n_heads, room, width = self._memory.shape
        size = (n_layers, 2, _grown(n_rows, len(self)), n_heads, _grown(room, max(self.lengths, default=0)), width)
        if size == self._memory.shape:
            return
        larger = self._memory.new_empty(size) if self.has_kernel else self._memory.new_zeros(size)
        larger[:, :, :n_rows, :, :room] = self._memory
        self._keep(larger)
        self.n_moves += 1

    def _keep(self, memory: Tensor) -> None:
        """`[n_layers, 2, ≥ B, H, T, d]`."""
        self._memory, self._layers = memory, memory.unbind()


def _grown(size: int, wanted: int) -> int:
    if wanted <= size:
        return size
    return max(wanted, 2 * size)
