"""One vector of each text.

Shapes: `N` tokens of all texts, `B` texts, `D` width.
"""

from collections.abc import Sequence
from ctypes import addressof, c_int64

import torch
from torch import Tensor

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.memory import contiguous
from models.ops.segments import Segments
from models.tasks.text import Pooling

_POOLINGS: dict[Pooling, int] = {"mean": 0, "cls": 1, "last": 2, "max": 3}
"""The numbers of `pooling.hpp`."""


def pool(
    x: Tensor, segments: Segments, order: Sequence[int], pooling: Pooling, n_kept: int, *, is_unit: bool
) -> Tensor:
    """Return one vector of each text, `[B, n_kept]` in float32, as `models.ops.pooling.pool` describes."""
    x = contiguous(x)
    n_texts = len(order)
    out_rows = (c_int64 * n_texts)(*order)
    out = torch.empty((n_texts, n_kept))
    function("pool", x.dtype)(
        x.data_ptr(),
        x.shape[1],
        segments.bounds.data_ptr(),
        addressof(out_rows),
        n_texts,
        _POOLINGS[pooling],
        n_kept,
        is_unit,
        out.data_ptr(),
        n_threads(),
    )
    return out
