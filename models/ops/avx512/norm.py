"""Layer normalisation.

Shapes: `N` rows, `D` width.
"""

from ctypes import Structure, c_double, c_void_p

import torch
from torch import Tensor, nn

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.memory import contiguous


class LayerNorm(Structure):
    """`LayerNorm` of `layer_norm.hpp`."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p), ("eps", c_double))

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> "LayerNorm":
        """Return the structure of one of torch's layers."""
        weight, bias = norm.weight.data_ptr(), norm.bias.data_ptr()
        return cls(weight, bias, norm.eps)


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return LayerNorm(x + added): all `[N, D]`, of the dtype of the norm's weights."""
    x, added = contiguous(x), contiguous(added)
    out = torch.empty_like(x)
    function("add_norm", x.dtype)(
        x.data_ptr(),
        added.data_ptr(),
        norm.weight.data_ptr(),
        norm.bias.data_ptr(),
        len(x),
        x.shape[1],
        norm.eps,
        out.data_ptr(),
        n_threads(),
    )
    return out
