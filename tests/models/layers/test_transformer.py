"""A block learns through whatever needs a gradient, on kernels or not."""

import pytest
import torch
from torch import nn

from models.ops.add_norm import add_norm


@pytest.mark.parametrize("learnt", ["added", "weight", "bias"])
def test_a_norm_of_a_sum_passes_gradients_on(learnt: str) -> None:
    torch.manual_seed(0)
    x, added = torch.randn(2, 3, 16)
    norm = nn.LayerNorm(16).requires_grad_(False)
    wanted = {"added": added, "weight": norm.weight, "bias": norm.bias}[learnt].requires_grad_(True)
    (found,) = torch.autograd.grad(add_norm(x, added, norm).square().sum(), wanted)
    (expected,) = torch.autograd.grad(norm(x + added).square().sum(), wanted)
    torch.testing.assert_close(found, expected)
