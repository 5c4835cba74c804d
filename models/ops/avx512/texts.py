"""What comes before the first block of an encoder of texts, and after the last, each in one call.

Shapes: `N` tokens of all texts, `B` texts, `I` width.
"""

from collections.abc import Sequence
from ctypes import Structure, addressof, c_int64, c_void_p

import torch
from torch import Tensor, nn

from models.ops.avx512 import Norm, contiguous, function, n_threads
from models.ops.segments import Segments
from models.tasks.text import Pooling

POOLINGS: dict[Pooling, int] = {"mean": 0, "cls": 1, "last": 2, "max": 3}


class _Table(Structure):
    """`Table` of `texts.hpp`."""

    _fields_ = (("rows", c_void_p), ("n", c_int64))


class _Embeddings(Structure):
    """`Embeddings` of `texts.hpp`."""

    _fields_ = (
        *((name, _Table) for name in ("words", "positions", "types")),
        *((name, c_int64) for name in ("first_position", "width")),
        ("norm", Norm),
    )


class Embeddings:
    """Tables of words, positions and types, each `[n, I]`, and the norm of their sum.

    The first token of a text has the row `first_position` of its table.
    """

    def __init__(self, tables: Sequence[nn.Embedding], norm: nn.LayerNorm, first_position: int) -> None:
        weights = [table.weight.detach().contiguous() for table in tables]
        self._kept = weights, norm.weight, norm.bias
        self.width = weights[0].shape[1]
        self.dtype = weights[0].dtype
        its = [_Table(weight.data_ptr(), len(weight)) for weight in weights]
        self.embeddings = _Embeddings(*its, first_position, self.width, Norm.of(norm))


def embed(token_ids: Tensor, type_ids: Tensor, segments: Segments, tables: Embeddings) -> Tensor:
    """LayerNorm(word + position + type) of tokens: two of `[N]`, int64, to `[N, I]`.

    Raises:
        IndexError: a table has no row for a token.
    """
    token_ids, type_ids = contiguous(token_ids), contiguous(type_ids)
    out = torch.empty((token_ids.shape[0], tables.width), dtype=tables.dtype)
    wrong = function("embed", tables.dtype)(
        addressof(tables.embeddings),
        token_ids.data_ptr(),
        type_ids.data_ptr(),
        segments.bounds.data_ptr(),
        len(segments),
        out.data_ptr(),
        n_threads(),
    )
    if wrong >= 0:
        ids = f"id {token_ids[wrong].item()} and type {type_ids[wrong].item()}"
        raise IndexError(f"token {wrong} of the row has {ids}, or a position, that the tables lack")
    return out


def pool(
    x: Tensor, segments: Segments, places: Sequence[int], pooling: Pooling, n_kept: int, *, is_unit: bool
) -> Tensor:
    """Tokens `[N, I]` to one vector a text, `[B, n_kept]` in float32: the i-th text's is at `places[i]`.

    Of the first `n_kept` elements; with `is_unit`, what is left has length 1 (or 0). Texts that have no place, at the
    end of the row, are nobody's.
    """
    x = contiguous(x)
    n_texts = len(places)
    its = (c_int64 * n_texts)(*places)
    out = torch.empty((n_texts, n_kept))
    function("pool", x.dtype)(
        x.data_ptr(),
        x.shape[1],
        segments.bounds.data_ptr(),
        addressof(its),
        n_texts,
        POOLINGS[pooling],
        n_kept,
        is_unit,
        out.data_ptr(),
        n_threads(),
    )
    return out
