"""Layer normalisation of a sum.

Shapes: `N` rows, `D` width.
"""

import torch
from torch import Tensor, nn

from models.ops import avx512, triton


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return LayerNorm(x + added); all are `[N, D]`."""
    is_learning = torch.is_grad_enabled() and any(part.requires_grad for part in (added, norm.weight, norm.bias))
    if not is_learning:
        if avx512.supports_tensor(x) and x.dtype == norm.weight.dtype:
            return avx512.add_norm(x, added, norm)
        if triton.supports_add_norm(x):
            return triton.add_norm(x, added, norm)
    normalised: Tensor = norm(x + added)
    return normalised
