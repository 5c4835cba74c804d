"""Scaled dot-product attention over flat rows of tokens (Vaswani et al. 2017, section 3.2).

A network is written once, over `[N, D]`. What a token sees is not the network's business but that of an `AttentionPattern`,
which it is given: the other tokens of its text, those before it, or what a cache remembers of them.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one, `D` width, `H` heads, `d` width of a head.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.ops import avx512, triton
from models.ops.attention import MAX_SHORT, by_head, flash, flash_takes
from models.ops.avx512 import AttentionContext
from models.ops.devices import to_device
from models.ops.patterns import KernelAttention
from models.ops.segments import Segments, joined


class WithinTexts(KernelAttention):
    """Each token sees its own text: all of it or, if `causal`, what stands no later than itself."""

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self.segments, self.causal = segments, causal

    @cached_property
    def _seen(self) -> AttentionContext:
        return AttentionContext.within_texts(self.segments, causal=self.causal)

    @cached_property
    def _blocks(self) -> Tensor:
        return to_device(torch.from_numpy(triton.blocks_of(self.segments)), self.segments.device)

    def context(self, layer: int) -> AttentionContext:
        """See `KernelAttention.seen`; it is the same for all."""
        return self._seen

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `AttentionPattern`."""
        if triton.supports_attention(q) and (max(self.segments.lengths) <= MAX_SHORT or not flash_takes(q)):
            return triton.attend(q, k, v, self._blocks, scale, causal=self.causal)
        if flash_takes(q):
            return flash(q, k, v, self.segments, self.segments, scale, causal=self.causal)
        if avx512.supports_tensor(q):
            return avx512.attend(q, (k, v), self.context(layer), scale)
        parts: list[Tensor] = []
        for rows, n_texts, length in self.segments.runs:
            q_, k_, v_ = (by_head(x[rows], n_texts) for x in (q, k, v))
            part = scaled_dot_product_attention(q_, k_, v_, is_causal=self.causal and length > 1, scale=scale)
            parts.append(part.transpose(1, 2).flatten(0, 1))
        return joined(parts)


class WithinTextBlocks:
    """As `WithinTexts`, on a GPU, by what `triton.blocks_of` says of the texts; they may be others each time."""

    def __init__(self, blocks: Tensor, *, causal: bool = False) -> None:
        self._blocks, self._causal = blocks, causal

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `AttentionPattern`."""
        return triton.attend(q, k, v, self._blocks, scale, causal=self._causal)


class RecordedAttention:
    """As `WithinTexts`, slower, but `weights[layer][text]` are the attention weights `[H, T, T]` afterwards."""

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self.segments, self.causal = segments, causal
        self.weights: list[list[Tensor]] = []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `AttentionPattern`."""
        seen: list[Tensor] = []
        weights: list[Tensor] = []
        for queries, keys, values in zip(*(self.segments.split(x) for x in (q, k, v)), strict=True):
            weights.append(attention_weights(queries, keys, scale, causal=self.causal))
            seen.append(torch.einsum("hqk,khd->qhd", weights[-1], values))
        self.weights.append(weights)
        return torch.cat(seen)


class AcrossTexts:
    """Each token of a text sees all of another, whose `keys_values` of each layer are known; `B` texts each side."""

    def __init__(self, queries: Segments, keys: Segments, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._queries, self._keys, self._keys_values = queries, keys, keys_values

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `CrossAttentionPattern`."""
        parts = zip(self._queries.split(q), *(self._keys.split(x) for x in self._keys_values[layer]), strict=True)
        seen: list[Tensor] = []
        for part in parts:
            q_, k_, v_ = (by_head(x, 1) for x in part)
            seen.append(scaled_dot_product_attention(q_, k_, v_, scale=scale)[0].transpose(0, 1))
        return torch.cat(seen)


class RecordedCrossAttention:
    """Tokens of one text see another, whose `keys_values` of each layer are known: `weights[layer]` is `[H, Q, K]`."""

    def __init__(self, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._keys_values = keys_values
        self.weights: list[Tensor] = []

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `CrossAttentionPattern`."""
        keys, values = self._keys_values[layer]
        self.weights.append(attention_weights(q, keys, scale))
        return torch.einsum("hqk,khd->qhd", self.weights[-1], values)


def attention_weights(q: Tensor, k: Tensor, scale: float, *, causal: bool = False) -> Tensor:
    """softmax(scale q k') of one text: queries `[Q, H, d]`, keys `[K, H, d]`, to `[H, Q, K]`."""
    scores = torch.einsum("qhd,khd->hqk", q, k) * scale
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1)
