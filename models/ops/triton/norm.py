"""Layer normalisation of sums.

Shapes: `N` rows, `D` width.
"""

import torch
from torch import Tensor, nn

from models.ops.sizes import next_power_of_2
from models.ops.triton.launch import launch


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return LayerNorm(x + added), `[N, D]`."""
    out = torch.empty_like(x)
    _launch_add_norm(x, added, norm, out, out, keeps_total=False)
    return out


def sum_and_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """Return x + added and LayerNorm(x + added), two of `[N, D]`."""
    total, out = torch.empty_like(x), torch.empty_like(x)
    _launch_add_norm(x, added, norm, out, total, keeps_total=True)
    return total, out


def _launch_add_norm(
    x: Tensor, added: Tensor, norm: nn.LayerNorm, out: Tensor, total: Tensor, *, keeps_total: bool
) -> None:
    """Write LayerNorm(x + added) to `out` and, with `keeps_total`, the sum to `total`."""
    width = x.shape[1]
    arguments = x, added, norm.weight, norm.bias, out, total, x.stride(0), added.stride(0), width, norm.eps
    launch("add_norm", (len(x), 1, 1), arguments, (next_power_of_2(width), keeps_total))
