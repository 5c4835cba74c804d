"""Layer normalisation of sums.

Shapes: `N` rows, `D` width.
"""

import torch
from torch import Tensor, nn

from models.ops.triton.launch import launch, next_power_of_2


def sum_and_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """Return x + added and LayerNorm(x + added), two of `[N, D]`."""
    total = torch.empty_like(x)
    return total, add_norm(x, added, norm, total)


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm, total: Tensor | None = None) -> Tensor:
    """Return LayerNorm(x + added), `[N, D]`, and write the sum to `total`, if it is given."""
    out = torch.empty_like(x)
    width = x.shape[1]
    total_or_out = out if total is None else total
    arguments = x, added, norm.weight, norm.bias, out, total_or_out, x.stride(0), added.stride(0), width, norm.eps
    launch("add_norm", (len(x), 1, 1), arguments, (next_power_of_2(width), total is not None))
    return out
