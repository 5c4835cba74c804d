"""Keys and values of earlier tokens in a cache: writing them, and attending to them.

Shapes: `N` tokens, `B` rows of the cache, `H` heads, `d` width of a head, `T` tokens for which there is room.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from models.ops import avx512, reference, triton
from models.ops.attention import attend_in_context
from models.ops.devices import to_device
from models.ops.patterns import AttentionContext

has_cpu_kernels = avx512.supports_dtype
"""Returns whether compiled kernels write and read a cache, for a model that computes in a dtype on a device."""


def write_to_cache(memory: Tensor, k: Tensor, v: Tensor, rows: Tensor, positions: Tensor) -> None:
    """Write keys and values, `[N, H, d]`, to a layer of a cache, `[2, ≥ B, H, T, d]`, at rows and positions, `[N]`.

    On a GPU, tokens whose row is negative are not written.
    """
    if triton.supports_tensor(k):
        triton.write_to_cache(memory, k, v, rows, positions)
    else:
        reference.write_to_cache(memory, k, v, rows, positions)


class CachedRows:
    """The rows of a cache, to each of which one token attends, in every layer.

    `memory` is a layer of the cache, any of them. `has_kernels` says whether the cache is for compiled kernels.

    Attributes:
        positions: positions of the last tokens of the rows, `[B]`, int64, on the device. A recorded CUDA graph gives a
            tensor that changes from one replay to the next; otherwise they follow from the lengths.
    """

    def __init__(
        self, lengths: Sequence[int], memory: Tensor, positions: Tensor | None = None, *, has_kernels: bool
    ) -> None:
        lengths_tensor = torch.tensor(lengths)
        self.positions = to_device(lengths_tensor - 1, memory.device) if positions is None else positions
        self._lengths, self._device, self._dtype = lengths, memory.device, memory.dtype
        self._kernel_lengths = lengths_tensor if has_kernels else None

    def context(self, memory: Tensor) -> AttentionContext:
        """Return what the tokens attend to in a layer, for kernels; only of a cache for which there are some."""
        assert self._kernel_lengths is not None  # noqa: S101 the caller knows that the cache is for kernels
        return AttentionContext.of_cache(memory, self._kernel_lengths)

    def attend(self, q: Tensor, new: tuple[Tensor, Tensor] | None, memory: Tensor, scale: float) -> Tensor:
        """Return softmax(scale q k') v of one token of each row, `[B, H, d]`, over its row of a layer, `memory`.

        `new` keys and values, `[B, H, d]`, if there are any, are written first, as those of the last token of each row.
        """
        if self._kernel_lengths is not None:
            return attend_in_context(q, new, self.context(memory), scale)
        if triton.supports_tensor(q):
            return triton.attend_to_cache(q, new, memory, self.positions, scale)
        if new is not None:
            reference.write_to_cache(memory, *new, self._rows, self.positions)
        keys, values = memory[:, : len(q), :, : max(self._lengths)]
        return reference.single_token_attention(q, keys, values, self._bias, scale)

    @cached_property
    def _rows(self) -> Tensor:
        return torch.arange(len(self.positions), device=self._device)

    @cached_property
    def _bias(self) -> Tensor | None:
        """The bias of the scores, `[B, 1, 1, longest]`: minus infinity after a row's last token, otherwise 0.

        None if no row is shorter than another.
        """
        longest = max(self._lengths)
        if min(self._lengths) == longest:
            return None
        is_beyond = torch.arange(longest, device=self._device) > self.positions[:, None]
        zeros = torch.zeros(is_beyond.shape, dtype=self._dtype, device=self._device)
        return zeros.masked_fill(is_beyond, -torch.inf)[:, None, None]
