"""Attention over a key-value cache: while a prompt is read, in a decoding step, and to the source text of a decoder.

Shapes: `N` tokens of all parts, `B` rows of the cache, `L` tokens of one part, `T` tokens of one row, `H` heads, `d`
width of a head.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from models.generation.kv_cache import KeyValueCache
from models.ops.attention import attend_in_context, suffix_attention
from models.ops.cache import CachedRows
from models.ops.devices import to_device
from models.ops.patterns import AttentionContext, KernelAttention
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTexts


class PrefillAttention(KernelAttention):
    """An `AttentionPattern` for parts of prompts: each token sees itself and all tokens of its prompt before it.

    `cache` has made room for the parts by `KeyValueCache.add_parts`, which returned `starts`, the number of tokens that
    were kept of each prompt before. The parts, of the lengths of `segments`, belong to the first rows, in order.
    """

    def __init__(self, cache: KeyValueCache, segments: Segments, starts: Sequence[int]) -> None:
        self._cache, self._segments, self._starts = cache, segments, starts
        self._lengths = torch.tensor(cache.lengths) if cache.has_kernel else None
        self._within_parts = None if any(starts) else WithinTexts(segments, causal=True)
        self._rows = Segments(cache.lengths[: len(segments)], segments.device)

    @cached_property
    def positions(self) -> Tensor:
        """Return the position of each token in its prompt, `[N]`."""
        owners, positions = self._segments.owners_and_positions
        return to_device(torch.from_numpy(positions + np.array(self._starts)[owners]), self._segments.device)

    @override
    def context(self, layer: int) -> AttentionContext:
        assert self._lengths is not None  # noqa: S101 kernels attend only to a cache for which there are some
        return AttentionContext.of_prompt_parts(self._segments, self._cache.layers[layer], self._lengths)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Write keys and values to the cache, and attend as `AttentionPattern` describes."""
        if self._lengths is not None:
            return attend_in_context(q, (k, v), self.context(layer), scale)
        self._cache.write(layer, k, v, self._segments.owners, self.positions)
        if self._within_parts is not None:
            return self._within_parts(layer, q, k, v, scale)
        keys, values = self._cache.gather(layer, self._rows.owners, self._rows.positions)
        return suffix_attention(q, keys, values, self._segments, self._rows, scale)


class CachedAttention(KernelAttention):
    """Attention of one token of each row to a row of the cache.

    `positions`, `[B]`, are those of the last tokens of the rows. They are computed from the lengths of the cache unless
    they are given, as in a CUDA graph, which reads them from a tensor that changes from one replay to the next.
    """

    def __init__(self, cache: KeyValueCache, positions: Tensor | None = None) -> None:
        self._cache = cache
        self._rows = CachedRows(cache.lengths, cache.layers[0], positions, has_kernels=cache.has_kernel)
        self.positions = self._rows.positions

    @override
    def context(self, layer: int) -> AttentionContext:
        return self._rows.context(self._cache.layers[layer])


class DecodeAttention(CachedAttention):
    """An `AttentionPattern` for the next token of every row, which sees all of its own row."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Write keys and values to the cache, and attend as `AttentionPattern` describes, with `N` = `B`."""
        return self._rows.attend(q, (k, v), self._cache.layers[layer], scale)


class CachedCrossAttention(CachedAttention):
    """A `CrossAttentionPattern` for the next token of every row, which sees all of its source text."""

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """Attend as `CrossAttentionPattern` describes, with `N` = `B`."""
        return self._rows.attend(q, None, self._cache.layers[layer], scale)
