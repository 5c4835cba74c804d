"""What a decoder remembers of its running sequences: the keys and values of every token so far.

Shapes: `B` running sequences, `H` heads, `T` tokens there is room for, `d` width of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models import kernels
from models.kernels import Seen
from models.layers.attention import Readable, WithinTexts, plain_attention
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
        self._shape = shape
        self.lengths: list[int] = []
        self.has_kernel = kernels.take(shape.dtype, shape.device)
        self.moves_one_by_one = shape.device.type == "cpu"
        """Rows, which is four times as fast there; on GPUs each would be an operation to be launched."""
        dtype = torch.float32 if shape.device.type == "cpu" and not self.has_kernel else shape.dtype
        size = (2, 0, shape.n_heads, FIRST_ROOM, shape.head_width)
        self._layers = [torch.zeros(size, dtype=dtype, device=shape.device) for _ in range(shape.n_layers)]

    def __len__(self) -> int:
        return len(self.lengths)

    def alike(self) -> Self:
        """An empty one of the same shape."""
        return type(self)(self._shape)

    @property
    def memory_bytes(self) -> int:
        """Of all its room."""
        return sum(layer.nbytes for layer in self._layers)

    def add(self, lengths: Sequence[int]) -> None:
        """New rows at the end, whose keys and values `write` brings."""
        self.lengths += lengths
        self._make_room()

    def extend(self, counts: Sequence[int]) -> None:
        """So many tokens more in the first rows, whose keys and values `write` or `append` brings."""
        self.lengths[: len(counts)] = [sum(pair) for pair in zip(self.lengths, counts, strict=False)]
        self._make_room()

    def write(self, layer: int, row: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values `[L, H, d]` of a row's last tokens; all of that row's, two of `[H, T, d]`."""
        whole, new = slice(0, self.lengths[row]), slice(self.lengths[row] - len(k), self.lengths[row])
        keys, values = self._layers[layer][:, row]
        keys[:, new] = k.transpose(0, 1)
        values[:, new] = v.transpose(0, 1)
        return keys[:, whole], values[:, whole]

    def adopt(self, other: Self, rows: Sequence[int], n_tokens: int | None = None) -> None:
        """Rows of another cache of this shape become new ones at the end; of each, the first `n_tokens` where given."""
        first = len(self)
        self.add([min(other.lengths[row], n_tokens or other.lengths[row]) for row in rows])
        for target, source in enumerate(rows, start=first):
            tokens = slice(0, self.lengths[target])
            for mine, theirs in zip(self._layers, other._layers, strict=True):
                mine[:, target, :, tokens] = theirs[:, source, :, tokens]

    def append(self, layer: int, k: Tensor, v: Tensor, places: tuple[Tensor, Tensor]) -> None:
        """Keys and values `[B, H, d]` of each row's last token; `places` are those of `last`."""
        rows, last = places
        for memory, new in zip(self._layers[layer], (k, v), strict=True):
            memory[rows, :, last] = new.to(memory.dtype)

    def whole(self, layer: int) -> Tensor:
        """All there is room for, rows and tokens, of keys and of values: `[2, ≥ B, H, T, d]`."""
        return self._layers[layer]

    def read(self, layer: int) -> tuple[Tensor, Tensor]:
        """The rows' keys and values, `[B, H, longest, d]`; what is beyond a row's length means nothing."""
        keys, values = self._layers[layer][:, : len(self), :, : max(self.lengths)]
        return keys, values

    def last(self) -> tuple[Tensor, Tensor]:
        """The number of each row, and the place of its last token: two of `[B]`."""
        rows = torch.arange(len(self), device=self._shape.device)
        return rows, torch.tensor(self.lengths, device=self._shape.device) - 1

    def bias(self) -> Tensor | None:
        """Minus infinity for what of `read` means nothing, else 0: `[B, 1, 1, longest]`; None where all of it does."""
        longest = max(self.lengths)
        if min(self.lengths) == longest:
            return None
        lengths = torch.tensor(self.lengths, device=self._shape.device)
        is_beyond = torch.arange(longest, device=self._shape.device) >= lengths[:, None]
        zeros = self._layers[0].new_zeros(is_beyond.shape)
        return zeros.masked_fill(is_beyond, -torch.inf)[:, None, None]

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
        to, of = (torch.tensor([*places], device=self._shape.device) for places in (moves, moves.values()))
        used = max(self.lengths[target] for target in moves)
        for layer in self._layers:
            layer[:, to, :, :used] = layer[:, of, :, :used]  # the right side is a copy: targets may be sources

    def _move_one_by_one(self, moves: Mapping[int, int]) -> None:
        for layer in self._layers:
            rows = {source: layer[:, source, :, : self.lengths[target]] for target, source in moves.items()}
            rows |= {source: rows[source].clone() for source in moves.keys() & rows.keys()}  # they are written as well
            for target, source in moves.items():
                layer[:, target, :, : self.lengths[target]] = rows[source]

    def _make_room(self) -> None:
        _, n_rows, n_heads, room, width = self._layers[0].shape
        size = (2, _grown(n_rows, len(self)), n_heads, _grown(room, max(self.lengths, default=0)), width)
        if size == self._layers[0].shape:
            return
        for number, layer in enumerate(self._layers):
            larger = layer.new_empty(size) if self.has_kernel else layer.new_zeros(size)
            larger[:, :n_rows, :, :room] = layer
            self._layers[number] = larger


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
        firsts = torch.tensor(starts).repeat_interleave(torch.tensor(segments.lengths)).to(segments.device)
        self.positions = segments.positions + firsts
        """Each token's place in its prompt: `[N]`."""
        self._lengths = torch.tensor(cache.lengths) if cache.has_kernel else None
        self._of_new = None if any(starts) else WithinTexts(segments, causal=True)
        self._visible = [
            torch.ones(length, start + length, dtype=torch.bool, device=segments.device).tril(start)
            for start, length in zip(starts, segments.lengths, strict=True)
            if self._of_new is None and not cache.has_kernel
        ]

    def seen(self, layer: int) -> Seen:
        """See `Readable.seen`; for a cache with kernels."""
        assert self._lengths is not None  # noqa: S101
        return Seen.parts(self._segments, self._cache.whole(layer), self._lengths)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`."""
        if self._lengths is not None:
            return kernels.attend(q, (k, v), self.seen(layer), scale)
        rows = remember(self._cache, layer, self._segments, k, v)
        if self._of_new is not None:
            return self._of_new(layer, q, k, v, scale)
        parts = zip(self._segments.split(q), rows, self._visible, strict=True)
        return torch.cat([_continued(queries, *row, visible, scale) for queries, row, visible in parts])


def _continued(q: Tensor, keys: Tensor, values: Tensor, seen: Tensor, scale: float) -> Tensor:
    """What the last tokens of a row `[L, H, d]` see of `[H, T, d]`, by `[L, T]`; in the type of q."""
    queries = q.transpose(0, 1)[None].to(keys.dtype)
    attended = scaled_dot_product_attention(queries, keys[None], values[None], seen, scale=scale)
    return attended[0].transpose(0, 1).to(q.dtype)


class Recall(Readable):
    """The next token of every row sees the whole of another row, whose tokens are remembered."""

    def __init__(self, cache: KeyValueCache) -> None:
        self._cache = cache
        self._lengths = torch.tensor(cache.lengths) if cache.has_kernel else None
        if self._lengths is None:
            self._places, self._bias = cache.last(), cache.bias()

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
        if new is not None:
            self._cache.append(layer, *new, self._places)
        return _of_single(q, *self._cache.read(layer), self._bias, scale)


class Decode(Readable):
    """The next token of every row, which sees all of its own row."""

    def __init__(self, cache: KeyValueCache) -> None:
        cache.extend([1] * len(cache))
        self._recall = Recall(cache)

    def seen(self, layer: int) -> Seen:
        """See `Readable.seen`."""
        return self._recall.seen(layer)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`; `N` = `B`."""
        return self._recall.after(layer, q, (k, v), scale)


def _of_single(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """One token of each row sees it, `[B, H, d]` of `[B, H, T, d]`, by a bias for what is beyond a row's length."""
    queries = q[:, :, None].to(keys.dtype)
    if q.is_cpu and len(q) >= MIN_PLAIN_ROWS:
        seen = plain_attention(queries, keys, values, bias, scale)
    else:
        seen = scaled_dot_product_attention(queries, keys, values, bias, scale=scale)
    return seen[:, :, 0].to(q.dtype)


def remember(cache: KeyValueCache, layer: int, segments: Segments, k: Tensor, v: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Write keys and values `[N, H, d]` of the last tokens of each row; all of each, two of `[H, T, d]`."""
    parts = zip(segments.split(k), segments.split(v), strict=True)
    return [cache.write(layer, row, *part) for row, part in enumerate(parts)]
