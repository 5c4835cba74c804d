import pytest
import torch
from torch import nn

from models.autoencoding.compression.entropy import FRACTION_BITS
from models.autoencoding.compression.fixed_point import MAX_ACTIVATION, MAX_WEIGHT, MAX_WIDTH, FixedPointNetwork
from models.errors import CheckpointError

ONE = 2.0**FRACTION_BITS


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 50)).requires_grad_(False)


def test_it_approximates_the_network() -> None:
    items = torch.rand(7, 300)
    exact = network().double()(items.double())
    result = FixedPointNetwork(network())((items * ONE).round().double()) / ONE
    torch.testing.assert_close(result, exact, rtol=0, atol=0.01)


def test_results_depend_neither_on_the_batch_nor_on_the_order_of_a_sum() -> None:
    twin = FixedPointNetwork(network())
    items = (torch.randn(33, 300) * ONE).round().double()
    batched = twin(items)
    assert torch.equal(torch.cat([twin(row[None]) for row in items]), batched)
    order = torch.randperm(300)
    shuffled = network()
    first = shuffled[0]
    assert isinstance(first, nn.Linear)
    first.weight.copy_(first.weight[:, order])
    assert torch.equal(FixedPointNetwork(shuffled)(items[:, order]), batched)


def test_the_largest_sum_is_exact_in_float64() -> None:
    assert MAX_WEIGHT * ONE * MAX_ACTIVATION * ONE * MAX_WIDTH <= 2**53
    wide = nn.Sequential(nn.Linear(MAX_WIDTH, 1)).requires_grad_(False)
    assert isinstance(wide[0], nn.Linear)
    wide[0].weight.fill_(MAX_WEIGHT)
    wide[0].bias.zero_()
    largest = torch.full((1, MAX_WIDTH), MAX_ACTIVATION * ONE, dtype=torch.float64)
    assert FixedPointNetwork(wide)(largest).item() == MAX_ACTIVATION * ONE  # clipped


@pytest.mark.parametrize(
    "layers", [[nn.Linear(2, 2), nn.Tanh()], [nn.Linear(2**13 + 1, 1)]], ids=["activation", "width"]
)
def test_layers_that_cannot_be_exact_are_refused(layers: list[nn.Module]) -> None:
    with pytest.raises(CheckpointError, match="no integer twin"):
        FixedPointNetwork(nn.Sequential(*layers))


def test_a_weight_that_is_too_large_is_refused() -> None:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, 17.0)
    with pytest.raises(CheckpointError, match="weights up to 17"):
        FixedPointNetwork(nn.Sequential(layer))
