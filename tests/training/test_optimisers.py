from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.muon import Muon, orthogonalise
from training.optimisers import muon_and_adamw


def test_muon_is_torchs_for_matrices_and_for_kernels_seen_as_matrices() -> None:
    torch.manual_seed(0)
    kernel, *matrices = (nn.Parameter(torch.randn(shape)) for shape in ((5, 3, 3, 3), (8, 27), (8, 27), (6, 3)))
    starts = [parameter.detach().clone() for parameter in (kernel, *matrices)]
    seen = [nn.Parameter(start.flatten(1).clone()) for start in starts]
    ours = Muon([kernel, *matrices], lr=0.1, weight_decay=0.1)
    reference = torch.optim.Muon(seen, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        images = torch.randn(2, 3, 8, 8)
        for optimiser, (first, *others) in ((ours, (kernel, *matrices)), (reference, seen)):
            optimiser.zero_grad()
            _loss(images, first.view(5, 3, 3, 3), others).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    for start, one, other in zip(starts, (kernel, *matrices), seen, strict=True):
        torch.testing.assert_close(one.flatten(1), other, atol=0.005, rtol=0.0)  # torch multiplies in bfloat16
        assert (one - start).abs().max() > 0.1


def _loss(images: Tensor, kernel: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    loss = functional.conv2d(images, kernel).square().mean()
    for matrix in matrices:
        loss = loss + functional.linear(images.flatten()[:270].view(-1, matrix.shape[1]), matrix).square().mean()
    return loss


def test_orthogonalised_matrices_have_singular_values_near_1() -> None:
    matrices = (
        torch.randn(3, 40, 20, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1e-4, 1.0, 1e4])[:, None, None]
    )
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert values.min() > 0.6
    assert values.max() < 1.3


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
