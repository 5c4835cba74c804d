"""What the tokens of a batch attend to. A network is written once, and is given one of these patterns.

Shapes: `N` tokens of all texts, `B` texts or rows of a cache, `H` heads, `d` width of a head, `T` tokens for which a
cache has room, or of the longest text.
"""

from abc import ABC, abstractmethod
from ctypes import Structure, c_int64, c_void_p
from typing import Protocol, runtime_checkable

from torch import Tensor

from models.ops.segments import Segments


class AttentionContext(Structure):
    """What the tokens attend to in one layer, as compiled kernels read it: `AttentionContext` of `attention.hpp`.

    It has addresses of tensors, which must live at least as long as it does.
    """

    _fields_ = (
        ("bounds", c_void_p),
        ("n_texts", c_int64),
        ("causal", c_int64),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("capacity", c_int64),
        ("lengths", c_void_p),
    )

    @classmethod
    def within_texts(cls, segments: Segments, *, causal: bool) -> "AttentionContext":
        """Return the context of tokens that attend to their own text or, if `causal`, to it up to themselves."""
        return cls(bounds=segments.bounds.data_ptr(), n_texts=len(segments), causal=causal)

    @classmethod
    def of_cache(cls, memory: Tensor, lengths: Tensor) -> "AttentionContext":
        """Return the context of one token of each row of a cache, which attends to the first `lengths[i]` of row i.

        `memory` has keys and values, `[2, ≥ B, H, T, d]`, contiguous and of the dtype of the queries; `lengths` is
        int64. Keys and values that a call brings are written first, as those of the last of these tokens.
        """
        keys, capacity = memory.data_ptr(), memory.shape[3]
        return cls(keys=keys, values=keys + memory.nbytes // 2, capacity=capacity, lengths=lengths.data_ptr())

    @classmethod
    def of_prompt_parts(cls, segments: Segments, memory: Tensor, lengths: Tensor) -> "AttentionContext":
        """Return the context of parts of prompts, which become the last tokens of a cache's rows. It is causal."""
        context = cls.of_cache(memory, lengths)
        context.bounds, context.n_texts, context.causal = segments.bounds.data_ptr(), len(segments), True
        return context


class AttentionPattern(Protocol):
    """What the tokens of a row attend to in self-attention."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Return softmax(scale q k') v of a layer, over the tokens that each token attends to; all are `[N, H, d]`."""


@runtime_checkable
class BiasableAttention(AttentionPattern, Protocol):
    """An `AttentionPattern` within texts that can add a bias to its scores."""

    def with_bias(self, bias: Tensor) -> AttentionPattern:
        """Return the pattern that computes softmax(scale q k' + bias) v in all layers.

        `bias`, `[H, T, T]` for the longest text, queries by keys, is that of shorter texts too, whose tokens are its
        first ones. A pattern with a bias is no `KernelAttention`, because compiled kernels take none.
        """


class CrossAttentionPattern(Protocol):
    """What the tokens of a row attend to in another row, whose keys and values are already known."""

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """Return softmax(scale q k') v of a layer, over the tokens of the other row: `[N, H, d]` to `[N, H, d]`."""


class KernelAttention(ABC):
    """An `AttentionPattern` or `CrossAttentionPattern` that compiled kernels can follow by themselves."""

    @abstractmethod
    def context(self, layer: int) -> AttentionContext:
        """Return what the tokens attend to in a layer."""
