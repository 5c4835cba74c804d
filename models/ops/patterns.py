"""Placeholder: to be described."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor

from models.ops.avx512 import AttentionContext


class AttentionPattern(Protocol):
    """What the tokens of a row see."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """softmax(scale q k') v of the `layer`-th layer, over what each token sees: all `[N, H, d]`."""


class CrossAttentionPattern(Protocol):
    """What tokens see of another row, whose keys and values are known already."""

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """softmax(scale q k') v over the other row's tokens: `[N, H, d]` to the same."""


class KernelAttention(ABC):
    """An `AttentionPattern` or a `CrossAttentionPattern` that kernels can follow by themselves."""

    @abstractmethod
    def context(self, layer: int) -> AttentionContext:
        """What tokens of the `layer`-th layer see."""
