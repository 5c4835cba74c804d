"""Attention within texts and to a cache.

Shapes: `N` tokens of all texts, `H` heads, `d` width of a head.
"""

from ctypes import addressof

from torch import Tensor

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.memory import aligned_heads
from models.ops.patterns import AttentionContext

_NO_KEYS_VALUES = None, None
"""Addresses that kernels see as null."""


def attend(q: Tensor, new: tuple[Tensor, Tensor] | None, context: AttentionContext, scale: float) -> Tensor:
    """Return softmax(scale q k') v over what each token attends to, `[N, H, d]`.

    `new` are the keys and values of the tokens themselves, if they bring any.
    """
    q, *keys_values = aligned_heads(q, *(new or ()))
    out = q.new_empty(q.shape)
    function("attend", q.dtype)(
        q.data_ptr(),
        *([part.data_ptr() for part in keys_values] or _NO_KEYS_VALUES),
        q.stride(0),
        *q.shape,
        addressof(context),
        scale,
        out.data_ptr(),
        n_threads(),
    )
    return out
