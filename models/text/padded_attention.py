"""Attention for training: texts of mixed length are padded to the longest, and attended to in one product.

Serving does not pad, so that no text pays for a longer one. A batch for training has short texts of many lengths, and
each product has a gradient: there, one large product is faster than many small ones.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of the longest, `H` heads, `d` width of a head.
"""

from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor

from models.ops.attention import padded_attention
from models.ops.segments import Segments


class Grid:
    """The tokens of a row as a grid `[B, T]`.

    Attributes:
        shape: `B` and `T`.
        is_token: the cells of the grid that hold a token, `[B, T]`; None if all do.
    """

    def __init__(self, segments: Segments) -> None:
        self.shape = len(segments), max(segments.lengths)
        self.is_token: Tensor | None = None
        if min(segments.lengths) < self.shape[1]:
            self._cells = segments.owners * self.shape[1] + segments.positions
            self.is_token = torch.zeros(self.shape, dtype=torch.bool, device=segments.device)
            self.is_token.view(-1)[self._cells] = True

    def pad(self, x: Tensor) -> Tensor:
        """Return `[N, H, d]` as `[B, H, T, d]`, zeros where there is no token."""
        if self.is_token is not None:
            x = x.new_zeros(self.is_token.numel(), *x.shape[1:]).index_copy(0, self._cells, x)
        return x.view(*self.shape, *x.shape[1:]).transpose(1, 2)

    def unpad(self, x: Tensor) -> Tensor:
        """Return `[B, H, T, d]` as `[N, H, d]`."""
        flat = x.transpose(1, 2).flatten(0, 1)
        return flat if self.is_token is None else flat[self._cells]


class PaddedTexts:
    """An `AttentionPattern` equal to `WithinTexts`."""

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self._grid = Grid(segments)
        n = self._grid.shape[1]
        is_earlier = torch.ones(n, n, dtype=torch.bool, device=segments.device).tril() if causal else None
        self._bias = _bias(self._grid.is_token, is_earlier)

    def with_bias(self, bias: Tensor) -> "PaddedTexts":
        """Return the pattern with a bias, as `models.ops.patterns.BiasableAttention` describes."""
        biased = copy(self)
        biased._bias = bias[None] if self._bias is None else self._bias + bias
        return biased

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attend as `AttentionPattern` describes."""
        q_, k_, v_ = (self._grid.pad(x) for x in (q, k, v))
        return self._grid.unpad(padded_attention(q_, k_, v_, self._bias, scale))


class PaddedAcross:
    """A `CrossAttentionPattern` equal to `AcrossTexts`."""

    def __init__(self, queries: Segments, keys: Segments, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._queries, self._keys, self._keys_values = Grid(queries), Grid(keys), keys_values
        self._bias = _bias(self._keys.is_token, None)

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """Attend as `CrossAttentionPattern` describes."""
        k, v = (self._keys.pad(x) for x in self._keys_values[layer])
        return self._queries.unpad(padded_attention(self._queries.pad(q), k, v, self._bias, scale))


def _bias(is_token: Tensor | None, is_earlier: Tensor | None) -> Tensor | None:
    """Return what is added to the scores: 0 for keys that are attended to, minus infinity for others; None for no bias.

    A key is attended to if it is a token, by `[B, T]`, and is not later than the query, by `[T, T]`.
    """
    is_seen = None if is_token is None else is_token[:, None, None, :]
    if is_earlier is not None:
        is_seen = is_earlier if is_seen is None else is_seen & is_earlier
    if is_seen is None:
        return None
    return torch.zeros(is_seen.shape, device=is_seen.device).masked_fill(~is_seen, -torch.inf)
