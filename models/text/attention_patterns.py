"""The attention patterns of texts: each token attends to its own text, or to another one.

A network is written once, over a row of tokens `[N, D]`. The pattern that it is given decides which tokens see which.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one text, `D` width, `H` heads, `d` width of a head.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from models.ops import reference
from models.ops.attention import attention, biased_attention, block_attention, context_within_texts
from models.ops.patterns import AttentionContext, KernelAttention
from models.ops.reference import attention_weights
from models.ops.segments import Segments


@dataclass(frozen=True, eq=False, slots=True)
class WithinTexts(KernelAttention):
    """An `AttentionPattern`: each token attends to its own text or, if `causal`, to its text up to itself."""

    segments: Segments
    causal: bool = field(default=False, kw_only=True)

    @override
    def context(self, layer: int) -> AttentionContext:
        return context_within_texts(self.segments, causal=self.causal)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attend as `AttentionPattern` describes."""
        return attention(q, k, v, self.segments, scale, causal=self.causal)

    def with_bias(self, bias: Tensor) -> "BiasedWithinTexts":
        """Return the pattern with a bias, as `BiasableAttention` describes.

        Raises:
            ValueError: the pattern is causal.
        """
        if self.causal:
            raise ValueError("causal attention takes no bias")
        return BiasedWithinTexts(self.segments, bias)


@dataclass(frozen=True, eq=False, slots=True)
class BiasedWithinTexts:
    """An `AttentionPattern`: each token attends to its own text, with a bias `[H, T, T]` for the longest of them."""

    segments: Segments
    bias: Tensor

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attend as `AttentionPattern` describes."""
        return biased_attention(q, k, v, self.segments, self.bias, scale)


@dataclass(frozen=True, eq=False, slots=True)
class WithinTextBlocks:
    """An `AttentionPattern` like `WithinTexts`, for CUDA graphs: the texts are read from a tensor in each replay.

    `block_table` is that of `Segments.block_table`, on the device.
    """

    block_table: Tensor
    causal: bool = field(default=False, kw_only=True)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attend as `AttentionPattern` describes."""
        return block_attention(q, k, v, self.block_table, scale, causal=self.causal)


class RecordedAttention:
    """An `AttentionPattern` like `WithinTexts`, slower, that keeps the attention weights.

    Attributes:
        weights: `weights[layer][text]`, `[H, T, T]`.
    """

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self.segments, self.causal = segments, causal
        self.weights: list[list[Tensor]] = []
        self._bias: Tensor | None = None

    def with_bias(self, bias: Tensor) -> "RecordedAttention":
        """Return the pattern with a bias, as `BiasableAttention` describes. Both keep their weights in one list."""
        biased = copy(self)
        biased._bias = bias
        return biased

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attend as `AttentionPattern` describes."""
        attended: list[Tensor] = []
        weights: list[Tensor] = []
        for queries, keys, values in zip(*(self.segments.split(x) for x in (q, k, v)), strict=True):
            n = len(queries)
            bias = None if self._bias is None else self._bias[:, :n, :n]
            weights.append(attention_weights(queries, keys, scale, causal=self.causal, bias=bias))
            attended.append(torch.einsum("hqk,khd->qhd", weights[-1], values))
        self.weights.append(weights)
        return torch.cat(attended)


@dataclass(frozen=True, eq=False, slots=True)
class AcrossTexts:
    """A `CrossAttentionPattern`: each token attends to all tokens of another text.

    There are `B` texts on each side. `keys_values` are those of each layer, two of `[M, H, d]`.
    """

    queries: Segments
    keys: Segments
    keys_values: Sequence[tuple[Tensor, Tensor]]

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """Attend as `CrossAttentionPattern` describes."""
        k, v = self.keys_values[layer]
        return reference.cross_attention(q, k, v, self.queries, self.keys, scale)


class RecordedCrossAttention:
    """A `CrossAttentionPattern` of one text that attends to another, and that keeps the attention weights.

    Attributes:
        weights: `weights[layer]`, `[H, Q, K]`.
    """

    def __init__(self, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._keys_values = keys_values
        self.weights: list[Tensor] = []

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """Attend as `CrossAttentionPattern` describes."""
        keys, values = self._keys_values[layer]
        self.weights.append(attention_weights(q, keys, scale))
        return torch.einsum("hqk,khd->qhd", self.weights[-1], values)
