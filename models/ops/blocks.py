"""The blocks of a Transformer, one after the other.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from models.ops import avx512, triton
from models.ops.add_norm import sum_and_norm
from models.ops.layer_protocols import Sublayer, TransformerBlock
from models.ops.patterns import AttentionPattern, CrossAttentionPattern, KernelAttention


def transformer_blocks(
    blocks: Iterable[nn.Module],
    x: Tensor,
    attention: AttentionPattern,
    cross_attention: CrossAttentionPattern | None = None,
) -> Tensor:
    """Run blocks (`models.layers.block.Block`) one after the other, as the layers 0, 1, …: `[N, D]` to `[N, D]`."""
    layers = [cast("TransformerBlock", block) for block in blocks]
    if (
        avx512.supports_tensor(x)
        and isinstance(attention, KernelAttention)
        and isinstance(cross_attention, KernelAttention | None)
        and (packed := avx512.pack_blocks(layers, x.dtype, has_cross_attention=cross_attention is not None))
    ):
        return avx512.run_blocks(x, packed, attention, cross_attention)
    if layers[0].pre_norm and not layers[0].training and triton.supports_rows(x):
        numbered = enumerate(layers)
        return _run_sums_and_norms(
            [part for layer, block in numbered for part in block.sublayers(attention, layer, cross_attention)], x
        )
    for layer, block in enumerate(layers):
        x = block(x, attention, layer, cross_attention)
    return x


def _run_sums_and_norms(sublayers: list[Sublayer], x: Tensor) -> Tensor:
    """Run the sublayers of pre-norm blocks, each residual connection and the norm after it in one operation."""
    first, *others = sublayers
    function, normalised = first.function, first.input_norm(x)
    for sublayer in others:
        x, normalised = sum_and_norm(x, function(normalised), sublayer.input_norm)
        function = sublayer.function
    return x + function(normalised)
