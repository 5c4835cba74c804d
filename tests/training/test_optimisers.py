import torch
from torch import nn
from torch.nn import functional

from training.optimisers import KernelMuon, muon_and_adamw


def test_kernels_move_as_the_matrices_they_are_seen_as() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, bias=False)
    start = layer.weight.detach().clone()
    matrix = nn.Parameter(start.flatten(1).clone())
    ours, reference = KernelMuon([layer.weight], lr=0.1, weight_decay=0.0), torch.optim.Muon([matrix], 0.1, 0.0)
    for _ in range(3):
        images = torch.randn(2, 3, 8, 8)
        for optimiser, outputs in (
            (ours, layer(images)),
            (reference, functional.conv2d(images, matrix.view(5, 3, 3, 3))),
        ):
            optimiser.zero_grad()
            outputs.square().mean().backward()
            optimiser.step()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(layer.weight.flatten(1), matrix)
    assert not torch.equal(layer.weight, start)


def test_every_parameter_has_one_optimiser() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.BatchNorm1d(4))
    n_parameters = len(list(network.parameters()))
    for kernel_lr in (None, 0.1):
        optimisers = muon_and_adamw(network, muon_lr=0.1, adamw_lr=0.1, kernel_lr=kernel_lr)
        taken = [parameter for optimiser in optimisers for parameter in optimiser.param_groups[0]["params"]]
        assert len(taken) == n_parameters
        assert len(optimisers) == (2 if kernel_lr is None else 3)
    network[0].requires_grad_(False)
    (muon, adamw) = muon_and_adamw(network, muon_lr=0.1, adamw_lr=0.1, kernel_lr=0.1)
    assert len(muon.param_groups[0]["params"]) == 1
    assert len(adamw.param_groups[0]["params"]) == n_parameters - 3
