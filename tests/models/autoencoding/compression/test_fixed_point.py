"""The integer twin: near the network it was made from, and equal to itself to the last bit."""

import pytest
import torch
from torch import nn

from models.autoencoding.compression.entropy import FRACTION
from models.autoencoding.compression.fixed_point import FixedPointNetwork
from models.errors import CheckpointError

ONE = 2.0**FRACTION


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 50)).requires_grad_(False)


def test_it_computes_what_the_network_computes() -> None:
    items = torch.rand(7, 300)
    exact = network().double()(items.double())
    got = FixedPointNetwork(network())((items * ONE).round().double()) / ONE
    torch.testing.assert_close(got, exact, rtol=0, atol=0.01)


def test_neither_company_nor_order_changes_a_bit() -> None:
    twin = FixedPointNetwork(network())
    items = (torch.randn(33, 300) * ONE).round().double()
    together = twin(items)
    assert torch.equal(torch.cat([twin(row[None]) for row in items]), together)
    order = torch.randperm(300)
    shuffled = network()
    first = shuffled[0]
    assert isinstance(first, nn.Linear)
    first.weight.copy_(first.weight[:, order])
    assert torch.equal(FixedPointNetwork(shuffled)(items[:, order]), together)


def test_numbers_stay_exact_at_the_limits() -> None:
    """The largest weights and activations that are taken give integers below 2**53."""
    wide = nn.Sequential(nn.Linear(2**13, 1)).requires_grad_(False)
    assert isinstance(wide[0], nn.Linear)
    wide[0].weight.fill_(16.0)
    wide[0].bias.zero_()
    twin = FixedPointNetwork(wide)
    ((weight, _),) = twin._steps  # type: ignore[misc]
    assert float(weight.abs().max()) * 2**10 * ONE * 2**13 <= 2**53
    assert twin(torch.full((1, 2**13), 2**10 * ONE, dtype=torch.float64)).item() == 2**10 * ONE  # cut to the limit


@pytest.mark.parametrize(
    "layers", [[nn.Linear(2, 2), nn.Tanh()], [nn.Linear(2**13 + 1, 1)]], ids=["activation", "width"]
)
def test_what_has_no_twin_is_refused(layers: list[nn.Module]) -> None:
    with pytest.raises(CheckpointError, match="no integer twin"):
        FixedPointNetwork(nn.Sequential(*layers))


def test_a_weight_too_large_is_refused() -> None:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, 17.0)
    with pytest.raises(CheckpointError, match="weights up to 17"):
        FixedPointNetwork(nn.Sequential(layer))
