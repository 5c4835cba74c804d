"""The embeddings of tokens.

Shapes: `N` tokens of all texts, `D` width.
"""

from ctypes import Structure, addressof, c_int64, c_void_p

import torch
from torch import Tensor

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.memory import contiguous
from models.ops.avx512.norm import LayerNorm
from models.ops.layer_protocols import EmbeddingLayers
from models.ops.segments import Segments


class _EmbeddingTable(Structure):
    """`EmbeddingTable` of `embeddings.hpp`."""

    _fields_ = (("rows", c_void_p), ("n", c_int64))


class _Embeddings(Structure):
    """`Embeddings` of `embeddings.hpp`."""

    _fields_ = (
        *((name, _EmbeddingTable) for name in ("words", "positions", "types")),
        *((name, c_int64) for name in ("first_position", "width")),
        ("norm", LayerNorm),
    )


class EmbeddingTables:
    """Tables of words, positions and types, each `[n, D]`, and the norm of their sum, in one structure."""

    def __init__(self, layers: EmbeddingLayers) -> None:
        words, types = layers.words.weight, layers.types
        type_rows = words.new_zeros(1, words.shape[1]) if types is None else types.weight  # a zero changes no sum
        weights = [rows.detach().contiguous() for rows in (words, layers.positions.weight, type_rows)]
        self._tensors = weights, layers.norm.weight, layers.norm.bias
        self.dtype, self.width = weights[0].dtype, weights[0].shape[1]
        structures = [_EmbeddingTable(weight.data_ptr(), len(weight)) for weight in weights]
        norm = LayerNorm(layers.norm.weight.data_ptr(), layers.norm.bias.data_ptr(), layers.norm.eps)
        self._structure = _Embeddings(*structures, layers.first_position, self.width, norm)
        self.address = addressof(self._structure)


def embed(token_ids: Tensor, type_ids: Tensor, segments: Segments, tables: EmbeddingTables) -> Tensor:
    """Return LayerNorm(word + position + type) of tokens, two of `[N]`, int64: `[N, D]`.

    Raises:
        IndexError: a table has no row for a token.
    """
    token_ids, type_ids = contiguous(token_ids), contiguous(type_ids)
    out = torch.empty((token_ids.shape[0], tables.width), dtype=tables.dtype)
    missing = function("embed", tables.dtype)(
        tables.address,
        token_ids.data_ptr(),
        type_ids.data_ptr(),
        segments.bounds.data_ptr(),
        len(segments),
        out.data_ptr(),
        n_threads(),
    )
    if missing >= 0:
        ids = f"id {token_ids[missing].item()} and type {type_ids[missing].item()}"
        raise IndexError(f"token {missing} of the row has {ids}, or a position, that the tables lack")
    return out
