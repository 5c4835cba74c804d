"""What a decoder remembers of its running sequences: the keys and values of every token so far.

Shapes: `B` running sequences, `H` heads, `T` tokens there is room for, `d` width of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models import kernels
from models.kernels import Seen, gpu
from models.layers.attention import Readable, WithinTexts, flash, flash_takes, plain_attention
from models.layers.devices import sent
from models.layers.packing import Segments

FIRST_ROOM = 16
MIN_PLAIN_ROWS = 8
"""On a CPU, single tokens of so many rows see theirs faster by plain products than by the fused kernel."""


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
        self.has_kernel = kernels.take(shape.dtype, shape.device)
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
        rows, tokens = places
        if gpu.takes(k):
            gpu.remember(k, v, self._layers[layer], rows, tokens)
            return
        for memory, new in zip(self._layers[layer], (k, v), strict=True):
            memory[rows, :, tokens] = new.to(memory.dtype)

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
        return slice(first, end) if [*rows] == [*range(first, end)] else sent(torch.tensor(rows), self.device)

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


class Prefill(Readable):
    """Parts of prompts, each token of which sees itself and all before it.

    The first parts continue the cache's rows, in order; for the others there are new rows.
    """

    def __init__(self, cache: KeyValueCache, segments: Segments) -> None:
        self._cache, self._segments = cache, segments
        n_old = min(len(cache), len(segments))
        starts = [*cache.lengths[:n_old], *[0] * (len(segments) - n_old)]
        cache.extend(segments.lengths[:n_old])
        cache.add(segments.lengths[n_old:])
        self._starts = starts
        self._lengths = torch.tensor(cache.lengths) if cache.has_kernel else None
        self._of_new = None if any(starts) else WithinTexts(segments, causal=True)
        self._rows = Segments(cache.lengths[: len(segments)], segments.device)

    @cached_property
    def positions(self) -> Tensor:
        """Each token's place in its prompt: `[N]`."""
        owners, places = self._segments.counted
        return sent(torch.from_numpy(places + np.array(self._starts)[owners]), self._segments.device)

    @property
    def continues(self) -> bool:
        """Whether a part is not the first of its prompt."""
        return self._of_new is None

    def seen(self, layer: int) -> Seen:
        """See `Readable.seen`; for a cache with kernels."""
        assert self._lengths is not None  # noqa: S101
        return Seen.parts(self._segments, self._cache.whole(layer), self._lengths)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`."""
        if self._lengths is not None:
            return kernels.attend(q, (k, v), self.seen(layer), scale)
        self._cache.write(layer, k, v, (self._segments.owners, self.positions))
        if self._of_new is not None:
            return self._of_new(layer, q, k, v, scale)
        keys, values = self._cache.tokens(layer, (self._rows.owners, self._rows.positions))
        if flash_takes(q):
            return flash(q, keys, values, self._segments, self._rows, scale, causal=True)
        parts = zip(self._segments.split(q), self._rows.split(keys), self._rows.split(values), strict=True)
        return torch.cat([_continued(*part, scale) for part in parts])


def _continued(q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """What the last tokens of a row `[L, H, d]` see of it, `[T, H, d]`; in the type of q."""
    q_, k_, v_ = (x.transpose(0, 1)[None].to(keys.dtype) for x in (q, keys, values))
    seen = torch.ones(len(q), len(keys), dtype=torch.bool, device=q.device).tril(len(keys) - len(q))
    attended = scaled_dot_product_attention(q_, k_, v_, seen, scale=scale)
    return attended[0].transpose(0, 1).to(q.dtype)


class Recall(Readable):
    """The next token of every row sees the whole of another row, whose tokens are remembered.

    `last` is where the last of them is, `[B]`; a step that is recorded for a GPU brings its own.
    """

    def __init__(self, cache: KeyValueCache, last: Tensor | None = None) -> None:
        self._cache = cache
        lengths = torch.tensor(cache.lengths)
        self.last = sent(lengths - 1, cache.device) if last is None else last
        self._lengths = lengths if cache.has_kernel else None

    @cached_property
    def _rows(self) -> Tensor:
        return torch.arange(len(self.last), device=self._cache.device)

    @cached_property
    def _bias(self) -> Tensor | None:
        """Minus infinity for what is beyond a row's last token, else 0: `[B, 1, 1, longest]`; None where nothing is."""
        longest = max(self._cache.lengths)
        if min(self._cache.lengths) == longest:
            return None
        is_beyond = torch.arange(longest, device=self._cache.device) > self.last[:, None]
        zeros = self._cache.whole(0).new_zeros(is_beyond.shape)
        return zeros.masked_fill(is_beyond, -torch.inf)[:, None, None]

    def seen(self, layer: int) -> Seen:
        """For a cache with kernels."""
        assert self._lengths is not None  # noqa: S101
        return Seen.cache(self._cache.whole(layer), self._lengths)

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `Remembering`; `N` = `B`."""
        return self.after(layer, q, None, scale)

    def after(self, layer: int, q: Tensor, new: tuple[Tensor, Tensor] | None, scale: float) -> Tensor:
        """The same once `new` keys and values `[B, H, d]`, if there are any, are written as those of the last token."""
        if self._lengths is not None:
            return kernels.attend(q, new, self.seen(layer), scale)
        if gpu.takes(q):
            return gpu.attend_remembered(q, new, self._cache.whole(layer), self.last, scale)
        if new is not None:
            self._cache.write(layer, *new, (self._rows, self.last))
        keys, values = self._cache.whole(layer)[:, : len(q), :, : max(self._cache.lengths)]
        return _of_single(q, keys, values, self._bias, scale)


class Decode(Readable):
    """The next token of every row, which sees all of its own row."""

    def __init__(self, own: Recall) -> None:
        self._own = own

    def seen(self, layer: int) -> Seen:
        """See `Readable.seen`."""
        return self._own.seen(layer)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`; `N` = `B`."""
        return self._own.after(layer, q, (k, v), scale)


def _of_single(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """One token of each row sees it, `[B, H, d]` of `[B, H, T, d]`, by a bias for what is beyond a row's length."""
    queries = q[:, :, None].to(keys.dtype)
    if q.is_cpu and len(q) >= MIN_PLAIN_ROWS:
        seen = plain_attention(queries, keys, values, bias, scale)
    else:
        seen = scaled_dot_product_attention(queries, keys, values, bias, scale=scale)
    return seen[:, :, 0].to(q.dtype)
