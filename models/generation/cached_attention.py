"""Placeholder: to be described."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.generation.kv_cache import KeyValueCache
from models.ops import avx512, triton
from models.ops.attention import flash, flash_takes, plain_attention
from models.ops.avx512 import AttentionContext
from models.ops.devices import to_device
from models.ops.patterns import KernelAttention
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTexts

MIN_PLAIN_ROWS = 8
"""On a CPU, single tokens of so many rows see theirs faster by plain products than by the fused kernel."""


class PrefillAttention(KernelAttention):
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
        return to_device(torch.from_numpy(places + np.array(self._starts)[owners]), self._segments.device)

    @property
    def continues(self) -> bool:
        """Whether a part is not the first of its prompt."""
        return self._of_new is None

    def context(self, layer: int) -> AttentionContext:
        """See `KernelAttention.seen`; for a cache with kernels."""
        assert self._lengths is not None  # noqa: S101
        return AttentionContext.of_prompt_parts(self._segments, self._cache.whole(layer), self._lengths)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `AttentionPattern`."""
        if self._lengths is not None:
            return avx512.attend(q, (k, v), self.context(layer), scale)
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


class CachedContext(KernelAttention):
    """The next token of every row sees the whole of another row, whose tokens are remembered.

    `last` is where the last of them is, `[B]`; a step that is recorded for a GPU brings its own.
    """

    def __init__(self, cache: KeyValueCache, last: Tensor | None = None) -> None:
        self._cache = cache
        lengths = torch.tensor(cache.lengths)
        self.last = to_device(lengths - 1, cache.device) if last is None else last
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

    def context(self, layer: int) -> AttentionContext:
        """For a cache with kernels."""
        assert self._lengths is not None  # noqa: S101
        return AttentionContext.of_cache(self._cache.whole(layer), self._lengths)

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `CrossAttentionPattern`; `N` = `B`."""
        return self.after(layer, q, None, scale)

    def after(self, layer: int, q: Tensor, new: tuple[Tensor, Tensor] | None, scale: float) -> Tensor:
        """The same once `new` keys and values `[B, H, d]`, if there are any, are written as those of the last token."""
        if self._lengths is not None:
            return avx512.attend(q, new, self.context(layer), scale)
        if triton.supports_tensor(q):
            return triton.attend_remembered(q, new, self._cache.whole(layer), self.last, scale)
        if new is not None:
            self._cache.write(layer, *new, (self._rows, self.last))
        keys, values = self._cache.whole(layer)[:, : len(q), :, : max(self._cache.lengths)]
        return _of_single(q, keys, values, self._bias, scale)


class DecodeAttention(KernelAttention):
    """The next token of every row, which sees all of its own row."""

    def __init__(self, own: CachedContext) -> None:
        self._own = own

    def context(self, layer: int) -> AttentionContext:
        """See `KernelAttention.seen`."""
        return self._own.context(layer)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `AttentionPattern`; `N` = `B`."""
        return self._own.after(layer, q, (k, v), scale)


def _of_single(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """One token of each row sees it, `[B, H, d]` of `[B, H, T, d]`, by a bias for what is beyond a row's length."""
    queries = q[:, :, None].to(keys.dtype)
    if q.is_cpu and len(q) >= MIN_PLAIN_ROWS:
        seen = plain_attention(queries, keys, values, bias, scale)
    else:
        seen = scaled_dot_product_attention(queries, keys, values, bias, scale=scale)
    return seen[:, :, 0].to(q.dtype)
