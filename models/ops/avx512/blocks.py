"""All blocks of a Transformer in one call.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Sequence
from ctypes import Structure, addressof, c_double, c_int64, c_void_p

import torch
from torch import Tensor, nn

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.linear import LinearLayer, PanelWeights
from models.ops.avx512.memory import contiguous
from models.ops.avx512.norm import LayerNorm
from models.ops.layer_protocols import BlockLayers, TransformerBlock
from models.ops.patterns import AttentionContext, KernelAttention

_NORMS = ("attention_norm", "feedforward_norm", "cross_norm")


class _TransformerBlock(Structure):
    """`TransformerBlock` of `transformer_block.hpp`."""

    _fields_ = (
        *((name, LinearLayer) for name in ("qkv", "out", "up", "down", "cross_q", "cross_out")),
        *((name, LayerNorm) for name in _NORMS),
        ("n_heads", c_int64),
        ("norm_first", c_int64),
    )


class BlockCall(Structure):
    """`BlockCall` of `transformer_block.hpp`: a block, what its tokens attend to, and the factors of the scores."""

    _fields_ = (
        ("block", c_void_p),
        ("self_context", AttentionContext),
        ("cross_context", AttentionContext),
        ("self_scale", c_double),
        ("cross_scale", c_double),
    )


class PackedBlock:
    """The weights of a block in one structure.

    Attributes:
        dtype: the dtype of the values that it is for.
        has_cross_attention: the block attends to another row as well.
        workspace_width: numbers for intermediate results that the kernel needs for each token.
    """

    def __init__(self, layers: BlockLayers, weights: Sequence[PanelWeights], norms: Sequence[nn.LayerNorm]) -> None:
        self._layers = layers
        self.dtype = norms[0].weight.dtype
        self.has_cross_attention = layers.cross_scale is not None
        qkv, _, up, *_ = weights
        self.workspace_width: int = qkv.n_in + max(4 * qkv.n_in, up.n_out)
        structures = [LayerNorm(norm.weight.data_ptr(), norm.bias.data_ptr(), norm.eps) for norm in norms]
        self._structure = _TransformerBlock(
            *(part.layer for part in weights),
            n_heads=layers.n_heads,
            norm_first=layers.pre_norm,
            **dict(zip(_NORMS, structures, strict=False)),
        )
        self._address = addressof(self._structure)

    def call(self, layer: int, attention: KernelAttention, cross_attention: KernelAttention | None) -> BlockCall:
        """Return the call that runs the block as a layer."""
        context, scale = attention.context(layer), self._layers.scale_of(layer)
        if self._layers.cross_scale is None or cross_attention is None:
            return BlockCall(self._address, context, _NO_CONTEXT, scale, 1.0)
        return BlockCall(self._address, context, cross_attention.context(layer), scale, self._layers.cross_scale)


_NO_CONTEXT = AttentionContext()


def pack_block(block: TransformerBlock) -> PackedBlock | None:
    """Pack the weights of a block; None if a part of it has no kernel, or its linear layers are not for kernels."""
    layers = block.layers()
    weights = [part for part in layers.weights if isinstance(part, PanelWeights)]
    norms = [norm for norm in layers.norms if isinstance(norm, nn.LayerNorm)]
    has_all = len(weights) == len(layers.weights) and len(norms) == len(layers.norms)
    return PackedBlock(layers, weights, norms) if has_all and isinstance(layers.activation, nn.Identity) else None


def pack_blocks(
    blocks: Sequence[TransformerBlock], dtype: torch.dtype, *, has_cross_attention: bool
) -> list[PackedBlock] | None:
    """Return the packed weights of blocks, which they keep; None if a kernel cannot run one of them.

    The blocks are to run on values of a dtype and, if `has_cross_attention`, are told what to attend to in another row.
    """
    packed: list[PackedBlock] = []
    for block in blocks:
        part = block.derived(pack_block)
        if part is None or part.dtype != dtype or (part.has_cross_attention and not has_cross_attention):
            return None
        packed.append(part)
    return packed


def run_blocks(
    x: Tensor, blocks: Sequence[PackedBlock], attention: KernelAttention, cross_attention: KernelAttention | None
) -> Tensor:
    """Run blocks as the layers 0, 1, …: `[N, D]` to `[N, D]`."""
    x = contiguous(x)
    workspace, out = x.new_empty(len(x) * blocks[0].workspace_width), x.new_empty(x.shape)
    calls = (BlockCall * len(blocks))(
        *(block.call(layer, attention, cross_attention) for layer, block in enumerate(blocks))
    )
    function("blocks", x.dtype)(
        addressof(calls), len(blocks), x.data_ptr(), len(x), workspace.data_ptr(), out.data_ptr(), n_threads()
    )
    return out
