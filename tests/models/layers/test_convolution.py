"""The convolution of doubled maps against PyTorch's own layers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.layers.convolution import Doubling


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 7), st.integers(1, 7)),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_convolution_of_the_doubled_maps(
    memory_format: torch.memory_format, shape: tuple[int, int, int, int], bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = Doubling(shape[1], bias=bias).double()
    maps = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=memory_format)
    torch.testing.assert_close(layer(maps), layer[1](layer[0](maps)))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_channels_of_the_result_lie_in_memory_as_those_of_the_maps(memory_format: torch.memory_format) -> None:
    maps = torch.randn(2, 3, 4, 5).contiguous(memory_format=memory_format)
    assert Doubling(3)(maps).is_contiguous(memory_format=memory_format)


def test_its_gradient_is_that_of_the_two_layers() -> None:
    torch.manual_seed(0)
    layer = Doubling(3).double()
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    gradients = []
    for output in (layer(maps), layer[1](layer[0](maps))):
        layer.zero_grad()
        output.square().sum().backward()
        gradients.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    torch.testing.assert_close(*gradients)
