"""Layer normalisation of the sum of a residual connection.

Shapes: `N` rows, `D` width.
"""

import torch
from torch import Tensor, nn

from models.ops import avx512, reference, triton


def add_norm(x: Tensor, added: Tensor, norm: nn.Module) -> Tensor:
    """Return norm(x + added), `[N, D]`, for a LayerNorm or for no norm at all (`nn.Identity`)."""
    if isinstance(norm, nn.Identity):
        return x + added
    if isinstance(norm, nn.LayerNorm):
        learnt = added, norm.weight, norm.bias
        if torch.is_grad_enabled() and any(part.requires_grad for part in learnt):
            return reference.add_norm(x, added, norm)
        if avx512.supports_tensor(x) and x.dtype == norm.weight.dtype:
            return avx512.add_norm(x, added, norm)
        if triton.supports_rows(x):
            return triton.add_norm(x, added, norm)
    return reference.add_norm(x, added, norm)


def sum_and_norm(x: Tensor, added: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return x + added and norm(x + added), two of `[N, D]`: a residual connection and the input of the next sublayer.

    Gradients must not be needed.
    """
    if isinstance(norm, nn.LayerNorm) and triton.supports_rows(x):
        return triton.sum_and_norm(x, added, norm)
    return reference.sum_and_norm(x, added, norm)
