"""A linear layer of a model that is not trained any more.

Shapes: `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor, nn

from models.ops.linear import pack_linear
from models.ops.linear_weights import Gelu


class PackedLinear(nn.Module):
    """x W' + b and, if there is a `gelu`, GELU of it, with W and b in the layout that is fastest for inputs of `dtype`.

    PyTorch does not list packed weights among a module's parameters: they stay on their device and in their dtype.

    Attributes:
        weights: the packed weights, with a bias of their own.
        bias: the bias as it was given, so that the module still has a parameter, with a device and a dtype.
        n_weights: the number of weights, without the bias.
        packed_bytes: the size of the packed weights in bytes.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        gelu: Gelu | None = None,
        *,
        int8: bool = False,
        factors: Tensor | None = None,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.bias = bias
        self.weights = pack_linear(weight, bias, gelu, int8=int8, factors=factors, dtype=dtype)
        self.n_weights = weight.numel()
        self.packed_bytes = self.weights.n_bytes

    def forward(self, x: Tensor) -> Tensor:
        """Compute `[…, O]` of the dtype of x from `[…, I]`."""
        return self.weights.linear(x)
