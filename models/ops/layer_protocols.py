"""What the layers of a Transformer offer to the operations that compute several of them at once.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from models.ops.linear_weights import LinearWeights
from models.ops.patterns import AttentionPattern, CrossAttentionPattern

ValueT = TypeVar("ValueT")


class DerivesValues(Protocol):
    """A module that keeps what is computed from its weights (`models.layers.weight_derived_cache`)."""

    def derived(self, compute: Callable[[Any], ValueT]) -> ValueT:
        """Return what a function computes from the module. It is computed once, until the weights change."""


class EmbeddingLayers(DerivesValues, Protocol):
    """The layers that embed tokens. The first token of a text has the position `first_position`.

    `types` is None for networks without types of tokens.

    If there is a `padding_id`, tokens with this id do not count, and have the position before the first.
    """

    words: nn.Embedding
    positions: nn.Embedding
    types: nn.Embedding | None
    norm: nn.LayerNorm
    first_position: int
    padding_id: int | None
    training: bool


class Sublayer(NamedTuple):
    """A part of a block with its residual connection: residual_norm(x + function(input_norm(x))), for x `[N, D]`."""

    input_norm: nn.Module
    function: Callable[[Tensor], Tensor]
    residual_norm: nn.Module


@dataclass(frozen=True, kw_only=True)
class BlockLayers:
    """The layers of a block, for an implementation that computes all of it in one call.

    Attributes:
        weights: packed weights of the linear layers: of queries, keys and values in one, of what is attended to, and
            the two of the feed-forward network; with cross-attention, those of its queries and of what it attends to.
            None where a layer is not packed.
        norms: the norms of attention, of the feed-forward network and, if there is any, of cross-attention.
        activation: what is computed between the linear layers of the feed-forward network.
        n_heads: number of heads of attention, and of cross-attention.
        pre_norm: the norms come before the sublayers instead of after the residual connections.
        scale_of: returns the factor of the attention scores in a layer.
        cross_scale: the factor of the scores of cross-attention; None if there is none.
    """

    weights: tuple[LinearWeights | None, ...]
    norms: tuple[nn.Module, ...]
    activation: nn.Module
    n_heads: int
    pre_norm: bool
    scale_of: Callable[[int], float]
    cross_scale: float | None


class TransformerBlock(DerivesValues, Protocol):
    """A block as `transformer_blocks` uses it."""

    pre_norm: bool
    training: bool

    def __call__(
        self, x: Tensor, attention: AttentionPattern, layer: int, cross_attention: CrossAttentionPattern | None
    ) -> Tensor:
        """Run the block as the given layer: `[N, D]` to `[N, D]`."""

    def sublayers(
        self, attention: AttentionPattern, layer: int, cross_attention: CrossAttentionPattern | None
    ) -> list[Sublayer]:
        """Return the parts of the block, in order."""

    def layers(self) -> BlockLayers:
        """Return the layers of the block."""
