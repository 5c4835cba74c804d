"""The Muon optimiser (Jordan et al. 2024), for matrices and for convolution kernels."""

from collections import defaultdict
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from training.mixed_precision import has_fast_bfloat16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
N_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum with a near-orthogonal update for each matrix `[out, in]`; a kernel counts as a matrix `[out, in h w]`.

    Like `torch.optim.Muon`, with three differences: it multiplies in bfloat16 only where that is fast, it accepts
    convolution kernels, and it orthogonalises all matrices of one shape as one batch.
    """

    def __init__(
        self, params: Iterable[Tensor], *, lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @override
    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Orthogonalise Nesterov's momentum, decay the weights and descend; updates of tall matrices are scaled up."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                updates = torch.stack([self._update(parameter, group["momentum"]) for parameter in parameters])
                n_out, n_in = updates.shape[1:]
                rate = group["lr"] * max(1.0, n_out / n_in) ** 0.5
                for parameter, update in zip(parameters, orthogonalise(updates), strict=True):
                    parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update.view_as(parameter), alpha=rate)

    def _update(self, parameter: Tensor, momentum: float) -> Tensor:
        gradient, state = cast("Tensor", parameter.grad), self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer: Tensor = state["momentum_buffer"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(buffer, momentum).flatten(1)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return matrices near the nearest orthogonal ones, `[B, m, n]`, by quintic Newton-Schulz iterations.

    The singular values come out near 1. The products are in bfloat16 where that is fast, which is precise enough here,
    and in the matrices' own type elsewhere.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalise(matrices.mT).mT
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if has_fast_bfloat16(matrices.device) else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(N_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.to(matrices.dtype)
