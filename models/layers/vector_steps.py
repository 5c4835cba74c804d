"""Layers that change the vector of a text after the vectors of its tokens were pooled.

They compute on the CPU in float32, whatever the device and the precision of the network, because that takes little time
beside the network's; their weights are therefore no parameters, which would be converted.

Shapes: `B` texts, `D` width.
"""

from torch import Tensor, nn
from torch.nn import functional


class DenseStep(nn.Module):
    """f(W x + b), and with `residual` R x more, where R may be the identity (None of `residual_weight`)."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        activation: nn.Module,
        *,
        residual: bool = False,
        residual_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.weight, self.bias, self.activation = weight, bias, activation
        self.residual, self.residual_weight = residual, residual_weight
        kept = [tensor for tensor in (weight, bias, residual_weight) if tensor is not None]
        self.n_weights = sum(tensor.numel() for tensor in kept)
        self.packed_bytes = sum(tensor.nbytes for tensor in kept)

    def forward(self, vectors: Tensor) -> Tensor:
        """Compute `[B, out]` from `[B, in]`."""
        out: Tensor = self.activation(functional.linear(vectors, self.weight, self.bias))
        if not self.residual:
            return out
        return out + (vectors if self.residual_weight is None else functional.linear(vectors, self.residual_weight))


class NormStep(nn.Module):
    """Layer norm of a text's vector."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.n_weights = weight.numel() + bias.numel()
        self.packed_bytes = weight.nbytes + bias.nbytes

    def forward(self, vectors: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, D]`."""
        return functional.layer_norm(vectors, self.weight.shape, self.weight, self.bias)


class UnitStep(nn.Module):
    """Scaling of a text's vector to unit length."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, D]`."""
        return functional.normalize(vectors, dim=-1)
