"""Linear layers on GPUs, by torch and cuBLAS.

Shapes: `I` inputs, `O` outputs.
"""

from torch import Tensor
from torch.nn import functional

from models.ops.linear_weights import Gelu

OUTPUTS_MULTIPLE = 8
"""The number of outputs must be a multiple of this for the fast kernels of cuBLAS."""


class PaddedWeights:
    """A weight `[O, I]` and bias `[O]`, filled up with zeros to a multiple of `OUTPUTS_MULTIPLE` outputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> None:
        self._n_out, n_more = len(weight), -len(weight) % OUTPUTS_MULTIPLE
        self._weight = functional.pad(weight.detach(), (0, 0, 0, n_more)) if n_more else weight.detach()
        self._bias = None if bias is None else functional.pad(bias.detach(), (0, n_more))
        self._gelu = gelu
        self.n_bytes = self._weight.nbytes if n_more else 0  # otherwise the weight is the one that was given

    def linear(self, x: Tensor) -> Tensor:
        """Return x W' + b, then GELU: `[…, I]` to `[…, O]` of the dtype of x."""
        out = functional.linear(x, self._weight, self._bias)[..., : self._n_out]
        return out if self._gelu is None else functional.gelu(out, approximate=self._gelu)
