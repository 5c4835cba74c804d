"""One vector of each text, made of those of its tokens.

Shapes: `N` tokens of all texts, `B` texts, `D` width.
"""

from collections.abc import Sequence

from torch import Tensor

from models.ops import avx512, reference, triton
from models.ops.devices import to_cpu
from models.ops.segments import Segments
from models.tasks.text import Pooling


def pool(
    x: Tensor, segments: Segments, order: Sequence[int], pooling: Pooling, n_kept: int, *, is_unit: bool
) -> Tensor:
    """Return one vector of each text, `[B, n_kept]`, on the CPU in float32, from the vectors of all tokens, `[N, D]`.

    Vector `order[i]` is that of the i-th text of the row; segments after those of `order` are ignored. The first
    `n_kept` elements are kept and, with `is_unit`, divided by their length.
    """
    if avx512.supports_tensor(x):
        return avx512.pool(x, segments, order, pooling, n_kept, is_unit=is_unit)
    implementation = triton.pool if triton.supports_rows(x) else reference.pool
    return to_cpu(implementation(x, segments, order, pooling, n_kept, is_unit=is_unit))
