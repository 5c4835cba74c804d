"""The block that all Transformers are made of.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import Tensor, nn

from models.layers.attention import CrossAttention, SelfAttention
from models.layers.feedforward import FeedForward
from models.layers.packed_linear import PackedLinear
from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops.add_norm import add_norm
from models.ops.layer_protocols import BlockLayers, Sublayer
from models.ops.patterns import AttentionPattern, CrossAttentionPattern


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """What the blocks of one network have in common.

    With `pre_norm`, the input of each sublayer is normalised (Radford et al. 2019, section 2.3); otherwise the sum of
    its input and its output (Vaswani et al. 2017, section 3.1).
    """

    width: int
    n_heads: int
    inner_width: int
    activation: str
    norm_eps: float
    pre_norm: bool = False

    def norms(self) -> tuple[nn.Module, nn.Module]:
        """Return the norm of a sublayer's input and that of its residual connection, one of which does nothing."""
        norm, identity = nn.LayerNorm(self.width, self.norm_eps), nn.Identity()
        return (norm, identity) if self.pre_norm else (identity, norm)


class Block(WeightDerivedCache):
    """Self-attention, cross-attention if the block has it, and a feed-forward network, with residual connections.

    `scale_of` returns the factor of the scores of self-attention in a layer.
    """

    def __init__(
        self, shape: BlockShape, *, has_cross_attention: bool = False, scale_of: Callable[[int], float] | None = None
    ) -> None:
        super().__init__()
        self.pre_norm = shape.pre_norm
        self.dropout = nn.Dropout(0.0)  # training sets the probability
        self.attention = SelfAttention(shape.width, shape.n_heads, scale_of)
        self.attention_input_norm, self.attention_residual_norm = shape.norms()
        self.cross_attention = CrossAttention(shape.width, shape.n_heads) if has_cross_attention else None
        norms = shape.norms() if has_cross_attention else (nn.Identity(), nn.Identity())
        self.cross_attention_input_norm, self.cross_attention_residual_norm = norms
        self.feedforward = FeedForward((shape.width, shape.inner_width, shape.width), shape.activation)
        self.feedforward_input_norm, self.feedforward_residual_norm = shape.norms()

    def forward(
        self, x: Tensor, attention: AttentionPattern, layer: int, cross_attention: CrossAttentionPattern | None = None
    ) -> Tensor:
        """Run the block as the layer of this number, from 0: `[N, D]` to `[N, D]`."""
        for sublayer in self.sublayers(attention, layer, cross_attention):
            added = sublayer.function(sublayer.input_norm(x))
            if self.training:
                added = self.dropout(added)
            x = add_norm(x, added, sublayer.residual_norm)
        return x

    def sublayers(
        self, attention: AttentionPattern, layer: int, cross_attention: CrossAttentionPattern | None
    ) -> list[Sublayer]:
        """Return the sublayers in order. Cross-attention is left out if there is nothing to attend to."""
        run = partial(self.attention, attention=attention, layer=layer)
        sublayers = [Sublayer(self.attention_input_norm, run, self.attention_residual_norm)]
        if self.cross_attention is not None and cross_attention is not None:
            run = partial(self.cross_attention, cross_attention=cross_attention, layer=layer)
            sublayers.append(Sublayer(self.cross_attention_input_norm, run, self.cross_attention_residual_norm))
        sublayers.append(Sublayer(self.feedforward_input_norm, self.feedforward, self.feedforward_residual_norm))
        return sublayers

    def layers_after_norms(self) -> list[nn.Linear]:
        """Return the linear layers whose inputs are normalised: those of each sublayer that read its input.

        They must not be packed yet.
        """
        layers = [self.attention.qkv, self.feedforward[0]]
        if self.cross_attention is not None:
            layers.append(self.cross_attention.q)
        return cast("list[nn.Linear]", layers)

    def layers(self) -> BlockLayers:
        """Return the layers of the block, for implementations that compute all of it in one call."""
        up, activation, down = self.feedforward
        linears = [self.attention.qkv, self.attention.out, up, down]
        norms = [self.attention_input_norm, self.feedforward_input_norm]
        if not self.pre_norm:
            norms = [self.attention_residual_norm, self.feedforward_residual_norm]
        if self.cross_attention is not None:
            linears += [self.cross_attention.q, self.cross_attention.out]
            norms.append(self.cross_attention_input_norm if self.pre_norm else self.cross_attention_residual_norm)
        return BlockLayers(
            weights=tuple(linear.weights if isinstance(linear, PackedLinear) else None for linear in linears),
            norms=tuple(norms),
            activation=activation,
            n_heads=self.attention.n_heads,
            pre_norm=self.pre_norm,
            scale_of=self.attention.scale_of,
            cross_scale=None if self.cross_attention is None else self.cross_attention.scale,
        )
