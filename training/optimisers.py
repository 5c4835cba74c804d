"""Optimisers and first weights that recipes share."""

from collections.abc import Iterable

import torch
from torch import nn


def muon_and_adamw(
    module: nn.Module, *, muon_lr: float, adamw_lr: float, weight_decay: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices of linear layers, AdamW for everything else.

    Muon (Jordan et al. 2024; `torch.optim.Muon`) orthogonalises the momentum of each matrix.
    """
    matrices = [m.weight for m in module.modules() if isinstance(m, nn.Linear) and m.weight.requires_grad]
    taken = {id(matrix) for matrix in matrices}
    others = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
    optimisers: list[torch.optim.Optimizer] = []
    if matrices:
        optimisers.append(torch.optim.Muon(matrices, lr=muon_lr, weight_decay=weight_decay))
    if others:
        optimisers.append(torch.optim.AdamW(others, lr=adamw_lr, weight_decay=0.0))
    return optimisers


def initialise_linear(modules: Iterable[nn.Module], *, gain: float) -> None:
    """Glorot's normal weights times `gain`, zero biases, for every linear layer."""
    for module in modules:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, gain=gain)
            nn.init.zeros_(module.bias)
