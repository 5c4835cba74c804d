"""Optimisers and weight initialisation that recipes share."""

from collections.abc import Iterable

import torch
from torch import nn

from training.muon import Muon


def muon_and_adamw(
    module: nn.Module,
    *,
    muon_lr: float,
    adamw_lr: float,
    weight_decay: float = 0.0,
    kernel_lr: float | None = None,
) -> list[torch.optim.Optimizer]:
    """Return Muon for the weight matrices of linear layers and AdamW for all other trainable parameters.

    With `kernel_lr`, the kernels of convolutions use Muon too, at that rate. `weight_decay` applies to Muon only.
    """
    matrices = [m.weight for m in module.modules() if isinstance(m, nn.Linear) and m.weight.requires_grad]
    convolutions = (m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
    kernels = [m.weight for m in convolutions if m.weight.requires_grad] if kernel_lr is not None else []
    muon_ids = {id(weight) for weight in (*matrices, *kernels)}
    others = [p for p in module.parameters() if p.requires_grad and id(p) not in muon_ids]
    optimisers: list[torch.optim.Optimizer] = []
    if kernel_lr is not None and kernels:
        optimisers.append(Muon(kernels, lr=kernel_lr, weight_decay=weight_decay))
    if matrices:
        optimisers.append(Muon(matrices, lr=muon_lr, weight_decay=weight_decay))
    if others:
        optimisers.append(torch.optim.AdamW(others, lr=adamw_lr, weight_decay=0.0))
    return optimisers


def initialise_linear(modules: Iterable[nn.Module], *, gain: float) -> None:
    """Draw Glorot's normal weights times `gain`, and zero the biases, in every linear layer."""
    for module in modules:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, gain=gain)
            nn.init.zeros_(module.bias)
