"""Attention for training: over texts of mixed length in one product, each padded to the longest.

Serving runs unpadded, text length by text length, so that nobody pays for a long neighbour. A training batch is short
texts of many lengths, and every product is differentiated: there, one large product is faster than many small ones.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of the longest, `H` heads, `d` width of a head.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.ops.attention import plain_attention
from models.ops.segments import Segments


class Grid:
    """The tokens of a flat row as `[B, T]`. `is_token` is where there is one, None where there is one everywhere."""

    def __init__(self, segments: Segments) -> None:
        self.shape = len(segments), max(segments.lengths)
        self.is_token: Tensor | None = None
        if min(segments.lengths) < self.shape[1]:
            self._cells = segments.owners * self.shape[1] + segments.positions
            self.is_token = torch.zeros(self.shape, dtype=torch.bool, device=segments.device)
            self.is_token.view(-1)[self._cells] = True

    def spread(self, x: Tensor) -> Tensor:
        """`[N, H, d]` to `[B, H, T, d]`, zeros where there is no token."""
        if self.is_token is not None:
            x = x.new_zeros(self.is_token.numel(), *x.shape[1:]).index_copy(0, self._cells, x)
        return x.view(*self.shape, *x.shape[1:]).transpose(1, 2)

    def collect(self, x: Tensor) -> Tensor:
        """`[B, H, T, d]` to `[N, H, d]`."""
        flat = x.transpose(1, 2).flatten(0, 1)
        return flat if self.is_token is None else flat[self._cells]


class PaddedTexts:
    """Equal to `WithinTexts`; see there."""

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self._grid = Grid(segments)
        n = self._grid.shape[1]
        earlier = torch.ones(n, n, dtype=torch.bool, device=segments.device).tril() if causal else None
        self._bias = _bias(self._grid.is_token, earlier)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `AttentionPattern`."""
        q_, k_, v_ = (self._grid.spread(x) for x in (q, k, v))
        return self._grid.collect(_attention(q_, k_, v_, self._bias, scale))


class PaddedAcross:
    """Equal to `AcrossTexts`; see there."""

    def __init__(self, queries: Segments, keys: Segments, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._queries, self._keys, self._keys_values = Grid(queries), Grid(keys), keys_values
        self._bias = _bias(self._keys.is_token, None)

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `CrossAttentionPattern`."""
        k, v = (self._keys.spread(x) for x in self._keys_values[layer])
        return self._queries.collect(_attention(self._queries.spread(q), k, v, self._bias, scale))


def _bias(is_token: Tensor | None, earlier: Tensor | None) -> Tensor | None:
    """What is added to the scores: minus infinity where a key `[B, T]` is none, or is not `earlier` `[T, T]`."""
    seen = None if is_token is None else is_token[:, None, None, :]
    seen = earlier if seen is None else seen if earlier is None else seen & earlier
    if seen is None:
        return None
    return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, -torch.inf)


def _attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """softmax(scale q k' + bias) v. On a CPU by plain products: the fused kernel's gradient is four times as slow."""
    if q.is_cuda:
        bias = None if bias is None else bias.to(q.dtype)
        return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return plain_attention(q, k, v, bias, scale)
