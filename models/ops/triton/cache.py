"""Keys and values in a cache.

Shapes: `N` tokens, `B` rows of the cache, `H` heads, `d` width of a head, `T` tokens for which there is room.
"""

import torch
from torch import Tensor

from models.ops.sizes import next_power_of_2
from models.ops.triton.launch import launch

TOKENS_AT_ONCE = 128
"""Number of tokens of a row whose keys and values a kernel reads at once."""


def write_to_cache(memory: Tensor, k: Tensor, v: Tensor, rows: Tensor, positions: Tensor) -> None:
    """Write keys and values, `[N, H, d]`, to a layer of a cache, `[2, ≥ B, H, T, d]`, at rows and positions, `[N]`.

    Rows and positions are integers. Tokens whose row is negative are not written. `memory` is contiguous.
    """
    n_heads, width = k.shape[1:]
    strides = k.stride(0), v.stride(0), memory.stride(0), memory.stride(1), memory.stride(2)
    arguments = k, v, memory, rows, positions, *strides, n_heads * width, width
    launch("write_to_cache", (len(k), 1, 1), arguments, (next_power_of_2(n_heads * width),))


def attend_to_cache(
    q: Tensor, new: tuple[Tensor, Tensor] | None, memory: Tensor, positions: Tensor, scale: float
) -> Tensor:
    """Return softmax(scale q k') v of one token of each row, `[B, H, d]`, over its row of a layer of a cache.

    `memory` is the layer, `[2, ≥ B, H, T, d]`, contiguous; `positions`, `[B]`, int64, are those of the rows' last
    tokens. `new` keys and values, `[B, H, d]`, if there are any, are written first, as those of these tokens.
    """
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    n_rows, n_heads, width = q.shape
    k, v = (q, q) if new is None else new
    strides = q.stride(0), k.stride(0), v.stride(0), memory.stride(0), memory.stride(1), memory.stride(2)
    arguments = q, k, v, memory, positions, out, *strides, width, scale
    constants = next_power_of_2(width), TOKENS_AT_ONCE, new is not None
    launch("attend_to_cache", (n_rows, n_heads, 1), arguments, constants, n_warps=2)
    return out
