"""Attention within short texts.

Shapes: `N` tokens of all texts, `H` heads, `d` width of a head.
"""

import torch
from torch import Tensor

from models.ops.devices import to_device
from models.ops.segments import BLOCK_TOKENS, Segments
from models.ops.sizes import next_power_of_2
from models.ops.triton.launch import launch, supports_tensor

MAX_HEAD_BYTES = 256
"""Maximum size in bytes of one head of a token: a block of them must fit in the memory of a multiprocessor."""

MIN_DOT_WIDTH = 16
"""Minimum width of the factors of a product in Triton."""


def supports_attention(q: Tensor) -> bool:
    """Return whether the functions of this file support queries, `[N, H, d]`."""
    head_bytes = q.shape[-1] * q.element_size()
    return head_bytes <= MAX_HEAD_BYTES and supports_tensor(q)


def attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float, *, causal: bool) -> Tensor:
    """Return softmax(scale q k') v within each text, all `[N, H, d]`."""
    block_table = segments.derived(_block_table_on_device)
    return block_attention(q, k, v, block_table, scale, causal=causal)


def _block_table_on_device(segments: Segments) -> Tensor:
    block_table = torch.from_numpy(segments.block_table)
    return to_device(block_table, segments.device)


def block_attention(q: Tensor, k: Tensor, v: Tensor, block_table: Tensor, scale: float, *, causal: bool) -> Tensor:
    """Return softmax(scale q k') v within each text, all `[N, H, d]`, with products in the dtype of q.

    `block_table` is that of `Segments.block_table`, on the GPU. Source: Dao 2023, algorithm 1.
    """
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    n_heads, width = q.shape[1:]
    n_blocks = block_table.shape[1]
    arguments = q, k, v, block_table, out, q.stride(0), k.stride(0), v.stride(0), width, scale, n_blocks
    n_columns = max(MIN_DOT_WIDTH, next_power_of_2(width))
    launch("block_attention", (n_blocks, n_heads, 1), arguments, (n_columns, BLOCK_TOKENS, causal))
    return out
