"""Kernels for CPUs with AVX-512: each call does at once what takes torch several operations.

`kernels.cpp` is compiled when the package is installed (`hatch_build.py`). A call releases the interpreter lock, and
runs on as many threads as the cooperation of the calling thread says.

library   loads the compiled kernels, and says what they support
memory    the layouts of tensors
linear norm attention blocks embeddings pooling scores
          one file for each kind of kernel

Structures mirror those of the C++ sources, and contain addresses: what they are made of must live as long as they do.
"""

from models.ops.avx512.attention import attend
from models.ops.avx512.blocks import PackedBlock, pack_block, pack_blocks, run_blocks
from models.ops.avx512.embeddings import EmbeddingTables, embed
from models.ops.avx512.library import is_fastest_for, supports_dtype, supports_tensor, unavailable_reason
from models.ops.avx512.linear import PanelWeights
from models.ops.avx512.norm import add_norm
from models.ops.avx512.pooling import pool
from models.ops.avx512.scores import top_tokens

__all__ = [
    "EmbeddingTables",
    "PackedBlock",
    "PanelWeights",
    "add_norm",
    "attend",
    "embed",
    "is_fastest_for",
    "pack_block",
    "pack_blocks",
    "pool",
    "run_blocks",
    "supports_dtype",
    "supports_tensor",
    "top_tokens",
    "unavailable_reason",
]
