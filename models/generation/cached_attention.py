"""Attention over a key-value cache: while a prompt is read, in a decoding step, and to the source text of a decoder.

Shapes: `N` tokens of all parts, `B` rows of the cache, `L` tokens of one part, `T` tokens of one row, `H` heads, `d`
width of a head.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from typing_extensions import override

from models.generation.kv_cache import KeyValueCache
from models.ops import avx512, triton
from models.ops.attention import flash, flash_takes, plain_attention
from models.ops.avx512 import AttentionContext
from models.ops.devices import to_device
from models.ops.patterns import KernelAttention
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTexts

MIN_PLAIN_ROWS = 8
"""Number of rows from which plain products are faster on a CPU than torch's fused attention of single tokens."""


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
        owners, places = self._segments.counted
        return to_device(torch.from_numpy(places + np.array(self._starts)[owners]), self._segments.device)

    @override
    def context(self, layer: int) -> AttentionContext:
        assert self._lengths is not None  # noqa: S101 kernels attend only to a cache for which there are some
        return AttentionContext.of_prompt_parts(self._segments, self._cache.keys_values(layer), self._lengths)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Write keys and values to the cache, and attend as `AttentionPattern` describes."""
        if self._lengths is not None:
            return avx512.attend(q, (k, v), self.context(layer), scale)
        self._cache.write(layer, k, v, self._segments.owners, self.positions)
        if self._within_parts is not None:
            return self._within_parts(layer, q, k, v, scale)
        keys, values = self._cache.gather(layer, self._rows.owners, self._rows.positions)
        if flash_takes(q):
            return flash(q, keys, values, self._segments, self._rows, scale, causal=True)
        parts = zip(self._segments.split(q), self._rows.split(keys), self._rows.split(values), strict=True)
        return torch.cat([_attend_to_row(*part, scale) for part in parts])


def _attend_to_row(q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Attend causally from the last tokens of a row, `[L, H, d]`, to all of it, `[T, H, d]`; in the type of q."""
    q_, k_, v_ = (x.transpose(0, 1)[None].to(keys.dtype) for x in (q, keys, values))
    is_seen = torch.ones(len(q), len(keys), dtype=torch.bool, device=q.device).tril(len(keys) - len(q))
    attended = scaled_dot_product_attention(q_, k_, v_, is_seen, scale=scale)
    return attended[0].transpose(0, 1).to(q.dtype)


class CachedAttention(KernelAttention):
    """Attention of one token of each row to a row of the cache.

    `positions`, `[B]`, are those of the last tokens of the rows. They are computed from the lengths of the cache unless
    they are given, as in a CUDA graph, which reads them from a tensor that changes from one replay to the next.
    """

    def __init__(self, cache: KeyValueCache, positions: Tensor | None = None) -> None:
        self._cache = cache
        lengths = torch.tensor(cache.lengths)
        self.positions = to_device(lengths - 1, cache.device) if positions is None else positions
        self._lengths = lengths if cache.has_kernel else None

    @cached_property
    def _rows(self) -> Tensor:
        return torch.arange(len(self.positions), device=self._cache.device)

    @cached_property
    def _bias(self) -> Tensor | None:
        """Return what hides the room after each row's last token, `[B, 1, 1, longest]`; None if rows are equally long.

        It is minus infinity there, and 0 elsewhere.
        """
        longest = max(self._cache.lengths)
        if min(self._cache.lengths) == longest:
            return None
        is_beyond = torch.arange(longest, device=self._cache.device) > self.positions[:, None]
        zeros = self._cache.keys_values(0).new_zeros(is_beyond.shape)
        return zeros.masked_fill(is_beyond, -torch.inf)[:, None, None]

    @override
    def context(self, layer: int) -> AttentionContext:
        assert self._lengths is not None  # noqa: S101 kernels attend only to a cache for which there are some
        return AttentionContext.of_cache(self._cache.keys_values(layer), self._lengths)

    def attend(self, layer: int, q: Tensor, new: tuple[Tensor, Tensor] | None, scale: float) -> Tensor:
        """Attend from one token of each row, `[B, H, d]`, to the row.

        `new` keys and values, `[B, H, d]`, are written first as those of the last token of each row.
        """
        if self._lengths is not None:
            return avx512.attend(q, new, self.context(layer), scale)
        if triton.supports_tensor(q):
            return triton.attend_remembered(q, new, self._cache.keys_values(layer), self.positions, scale)
        if new is not None:
            self._cache.write(layer, *new, self._rows, self.positions)
        keys, values = self._cache.keys_values(layer)[:, : len(q), :, : max(self._cache.lengths)]
        return _attend_from_single_tokens(q, keys, values, self._bias, scale)


class DecodeAttention(CachedAttention):
    """An `AttentionPattern` for the next token of every row, which sees all of its own row."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Write keys and values to the cache, and attend as `AttentionPattern` describes, with `N` = `B`."""
        return self.attend(layer, q, (k, v), scale)


class CachedCrossAttention(CachedAttention):
    """A `CrossAttentionPattern` for the next token of every row, which sees all of its source text."""

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """Attend as `CrossAttentionPattern` describes, with `N` = `B`."""
        return self.attend(layer, q, None, scale)


def _attend_from_single_tokens(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Attend from one token of each row, `[B, H, d]`, to its row, `[B, H, T, d]`, with a bias on the scores."""
    queries = q[:, :, None].to(keys.dtype)
    if q.is_cpu and len(q) >= MIN_PLAIN_ROWS:
        seen = plain_attention(queries, keys, values, bias, scale)
    else:
        seen = scaled_dot_product_attention(queries, keys, values, bias, scale=scale)
    return seen[:, :, 0].to(q.dtype)
