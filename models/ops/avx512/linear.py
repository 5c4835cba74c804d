"""Linear layers, with the GELU after them.

Shapes: `I` inputs, `O` outputs.
"""

from ctypes import Structure, addressof, c_int64, c_void_p

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.memory import contiguous
from models.ops.linear_weights import Gelu, quantise_rows

PANEL_OUTPUTS = 64
"""Number of outputs of a panel, which a kernel computes at once."""

GROUP_BYTES = 4
"""Bytes of neighbouring weights of one output that an instruction multiplies and adds up at once."""

_ACTIVATIONS: dict[Gelu | None, int] = {None: 0, "none": 1, "tanh": 2}


class LinearLayer(Structure):
    """`LinearLayer` of `linear.hpp`."""

    _fields_ = (
        *((name, c_void_p) for name in ("panels", "initial_sums", "factors", "weight_sums", "scales", "bias")),
        *((name, c_int64) for name in ("n_in", "n_out", "activation")),
    )


class PanelWeights:
    """A weight `[O, I]` in float32, bfloat16 or int8 and a bias `[O]`, in panels of 64 outputs, as kernels read them.

    A row alone gives the same outputs as among others. With int8 weights, each row of the inputs is rounded to numbers
    from 0 to 255 as well.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        gelu: Gelu | None = None,
        *,
        int8: bool = False,
        factors: Tensor | None = None,
    ) -> None:
        self.n_out, self.n_in = weight.shape
        bias = torch.zeros(self.n_out) if bias is None else bias.detach().float().clone()
        values, initial_sums = weight.detach(), bias
        int8_parts: tuple[Tensor | None, ...] = (None, None, None, None)
        if int8:
            values, scales = quantise_rows(weight, factors)
            initial_sums = torch.zeros(self.n_out, dtype=torch.int32)
            factors = None if factors is None else factors.float().contiguous()
            int8_parts = (factors, values.sum(1, dtype=torch.int32), scales, bias)
        initial_sums = functional.pad(initial_sums, (0, -self.n_out % PANEL_OUTPUTS))
        self._parts = (_panels(values), initial_sums, *int8_parts)
        sizes = {"n_in": self.n_in, "n_out": self.n_out, "activation": _ACTIVATIONS[gelu]}
        self.layer = LinearLayer(*(None if part is None else part.data_ptr() for part in self._parts), **sizes)
        self.n_bytes = sum(part.nbytes for part in self._parts if part is not None)

    def linear(self, x: Tensor) -> Tensor:
        """Return x W' + b, then GELU: `[…, I]` to `[…, O]` of the dtype of x."""
        rows = contiguous(x if x.dim() == 2 else x.reshape(-1, x.shape[-1]))
        out = rows.new_empty(len(rows), self.n_out)
        function("linear", x.dtype)(rows.data_ptr(), len(rows), addressof(self.layer), out.data_ptr(), n_threads())
        return out if x.dim() == 2 else out.view(*x.shape[:-1], self.n_out)


def _panels(weight: Tensor) -> Tensor:
    """Return a weight as `[O / 64, I / n, 64, n]`, n weights to a group, filled up with zeros."""
    n = GROUP_BYTES // weight.element_size()
    padded = functional.pad(weight, (0, -weight.shape[1] % n, 0, -weight.shape[0] % PANEL_OUTPUTS))
    return padded.view(-1, PANEL_OUTPUTS, padded.shape[1] // n, n).transpose(1, 2).contiguous()
