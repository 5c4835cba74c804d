"""Activations are those that the library transformers has under these names, however the layers are computed."""

import math
from typing import cast

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN

from models.layers.activations import ACTIVATIONS
from models.layers.block import Block, BlockShape
from models.ops.blocks import transformer_blocks
from models.ops.segments import Segments
from models.precision import pack_linears
from models.text.attention_patterns import WithinTexts


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_is_the_function_of_that_name(name: str) -> None:
    x = torch.cat([torch.linspace(-20, 20, 4001), torch.tensor([-1e4, -0.0, 0.0, 1e4])])
    torch.testing.assert_close(ACTIVATIONS[name]()(x), ACT2FN[name](x), rtol=1e-6, atol=1e-6)


def test_activations_with_parameters_are_the_only_ones_that_are_missing() -> None:
    assert set(ACT2FN) - set(ACTIVATIONS) == {"prelu", "xielu"}
    assert not [name for name, make in ACTIVATIONS.items() if list(make().parameters())]


def reference(block: Block, x: torch.Tensor, n_heads: int) -> torch.Tensor:
    """The block in plain torch (Vaswani et al. 2017, section 3.1)."""
    q, k, v = (part.unflatten(-1, (n_heads, -1)).transpose(0, 1) for part in block.attention.qkv(x).chunk(3, -1))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    x = block.attention_residual_norm(x + block.attention.out((weights @ v).transpose(0, 1).flatten(1)))
    up, activation, down = block.feedforward
    out: torch.Tensor = block.feedforward_residual_norm(x + down(activation(up(x))))
    return out


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_blocks_compute_it_with_packed_weights(name: str) -> None:
    torch.manual_seed(0)
    shape = BlockShape(width=32, n_heads=2, inner_width=48, activation=name, norm_eps=1e-5)
    block = Block(shape).eval().requires_grad_(False)
    cast("nn.Linear", block.feedforward[0]).weight.normal_()  # so that the activation sees large values as well
    x = torch.randn(7, 32)
    expected = reference(block, x, 2)
    pack_linears(block, torch.float32)
    with torch.inference_mode():
        actual = transformer_blocks([block], x, WithinTexts(Segments([7])))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
