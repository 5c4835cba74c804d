"""Norms of sums, by each implementation, and gradients through them."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.ops import avx512, reference
from models.ops.add_norm import add_norm, sum_and_norm
from tests.models.ops.kernels import DTYPES, assert_near, needs_kernels


def random_norm(width: int) -> nn.LayerNorm:
    norm = nn.LayerNorm(width, 1e-5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@given(n=st.integers(0, 9), width=st.integers(1, 150), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_kernels_equal_the_reference(dtype: torch.dtype, n: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    norm = random_norm(width)
    x, added = torch.randn(2, n, width).to(dtype).mul(3).add(1).unbind()
    norm = norm.to(dtype)
    with torch.inference_mode():
        expected = reference.add_norm(x.float(), added.float(), copy.deepcopy(norm).float())
        found = avx512.add_norm(x, added, norm)
    assert found.dtype == dtype
    assert_near(found, expected, dtype)


def test_without_a_norm_it_is_the_sum() -> None:
    x, added = torch.randn(2, 3, 16)
    assert torch.equal(add_norm(x, added, nn.Identity()), x + added)


def test_the_sum_is_returned_beside_its_norm() -> None:
    x, added = torch.randn(2, 3, 16)
    norm = random_norm(16)
    total, normalised = sum_and_norm(x, added, norm)
    assert torch.equal(total, x + added)
    assert torch.equal(normalised, norm(x + added))


@pytest.mark.parametrize("learnt", ["added", "weight", "bias"])
def test_gradients_pass_through_whatever_needs_one(learnt: str) -> None:
    torch.manual_seed(0)
    x, added = torch.randn(2, 3, 16)
    norm = nn.LayerNorm(16).requires_grad_(False)
    wanted = {"added": added, "weight": norm.weight, "bias": norm.bias}[learnt].requires_grad_(True)
    (found,) = torch.autograd.grad(add_norm(x, added, norm).square().sum(), wanted)
    (expected,) = torch.autograd.grad(norm(x + added).square().sum(), wanted)
    torch.testing.assert_close(found, expected)
