"""Placeholder: to be described."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.generation.kv_cache import KeyValueCache
from models.ops.attention import attend_in_context, suffix_attention
from models.ops.cache import CachedRows
from models.ops.devices import to_device
from models.ops.patterns import AttentionContext, KernelAttention
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTexts


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
        owners, places = self._segments.owners_and_positions
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
            return attend_in_context(q, (k, v), self.context(layer), scale)
        self._cache.write(layer, k, v, (self._segments.owners, self.positions))
        if self._of_new is not None:
            return self._of_new(layer, q, k, v, scale)
        keys, values = self._cache.tokens(layer, (self._rows.owners, self._rows.positions))
        return suffix_attention(q, keys, values, self._segments, self._rows, scale)


class CachedContext(KernelAttention):
    """The next token of every row sees the whole of another row, whose tokens are remembered.

    `last` is where the last of them is, `[B]`; a step that is recorded for a GPU brings its own.
    """

    def __init__(self, cache: KeyValueCache, last: Tensor | None = None) -> None:
        self._cache = cache
        self._rows = CachedRows(cache.lengths, cache.whole(0), last, has_kernels=cache.has_kernel)
        self.last = self._rows.positions

    def context(self, layer: int) -> AttentionContext:
        """For a cache with kernels."""
        return self._rows.context(self._cache.whole(layer))

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `CrossAttentionPattern`; `N` = `B`."""
        return self.after(layer, q, None, scale)

    def after(self, layer: int, q: Tensor, new: tuple[Tensor, Tensor] | None, scale: float) -> Tensor:
        """The same once `new` keys and values `[B, H, d]`, if there are any, are written as those of the last token."""
        return self._rows.attend(q, new, self._cache.whole(layer), scale)


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
