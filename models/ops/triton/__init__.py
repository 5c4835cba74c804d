"""Kernels for GPUs, in Triton: what takes torch several passes over memory, or tiles too large for short texts.

Torch's builds for Linux and CUDA bring Triton along.

launch    compiles and starts kernels, and says whether they work here
kernels   the kernels themselves
norm attention cache pooling scores
          one file for each kind of kernel
"""

from models.ops.triton.attention import MAX_HEAD_BYTES, block_attention, move_block_table, supports_attention
from models.ops.triton.cache import attend_to_cache, write_to_cache
from models.ops.triton.launch import next_power_of_2, supports_rows, supports_tensor, unavailable_reason
from models.ops.triton.norm import add_norm, sum_and_norm
from models.ops.triton.pooling import pool
from models.ops.triton.scores import top_tokens

__all__ = [
    "MAX_HEAD_BYTES",
    "add_norm",
    "attend_to_cache",
    "block_attention",
    "move_block_table",
    "next_power_of_2",
    "pool",
    "sum_and_norm",
    "supports_attention",
    "supports_rows",
    "supports_tensor",
    "top_tokens",
    "unavailable_reason",
    "write_to_cache",
]
