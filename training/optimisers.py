"""Optimisers and first weights that recipes share."""

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
    """Muon for the weight matrices of linear layers, AdamW for everything else.

    With `kernel_lr`, Muon for convolutions' kernels too.
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
    """Glorot's normal weights times `gain`, zero biases, for every linear layer."""
    for module in modules:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, gain=gain)
            nn.init.zeros_(module.bias)
