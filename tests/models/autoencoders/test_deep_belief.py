"""Restricted Boltzmann machines against enumeration of every state, and the network unrolled from them."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoders.deep_belief.model import DeepBeliefNetwork, Noise, Rbm
from models.autoencoders.deep_belief.objective import contrastive_divergence

V, H = 4, 3


def states(n: int) -> Tensor:
    """All 2**n vectors of zeros and ones."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)), dtype=torch.float64)


def machine(*, gaussian_hidden: bool) -> Rbm:
    torch.manual_seed(3)
    rbm = Rbm(V, H, gaussian_hidden=gaussian_hidden).double()
    for parameter in rbm.parameters():
        nn.init.normal_(parameter, std=0.6)
    return rbm


def joint_energy(rbm: Rbm, visible: Tensor, hidden: Tensor) -> Tensor:
    """E(v, h) for every pair of rows, written out from the definition."""
    quadratic = 0.5 * hidden.square().sum(1) if rbm.gaussian_hidden else torch.zeros(len(hidden))
    return (
        quadratic - visible @ rbm.weight @ hidden.T - (visible @ rbm.visible_bias)[:, None] - hidden @ rbm.hidden_bias
    )


def grid() -> tuple[Tensor, float]:
    """Points of a fine lattice in `H` dimensions, and the volume of its cells: sums over it are integrals."""
    axis = torch.arange(-9, 9, 0.3, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis, axis), 0.3**H


def enumerated_free_energy(rbm: Rbm, visible: Tensor) -> Tensor:
    hidden, volume = grid() if rbm.gaussian_hidden else (states(H), 1.0)
    return -torch.logsumexp(-joint_energy(rbm, visible, hidden), 1) - math.log(volume)


@pytest.mark.parametrize("gaussian_hidden", [False, True])
def test_the_free_energy_is_the_sum_over_hidden_states(gaussian_hidden: bool) -> None:
    rbm = machine(gaussian_hidden=gaussian_hidden)
    with torch.no_grad():
        expected = enumerated_free_energy(rbm, states(V))
        difference = rbm.free_energy(states(V)) - expected
    constant = H / 2 * math.log(2 * math.pi) if gaussian_hidden else 0.0
    torch.testing.assert_close(difference, torch.full_like(difference, constant), rtol=0, atol=1e-8)


@pytest.mark.parametrize("gaussian_hidden", [False, True])
def test_conditionals_are_those_of_the_joint_distribution(gaussian_hidden: bool) -> None:
    rbm = machine(gaussian_hidden=gaussian_hidden)
    hidden, _ = grid() if gaussian_hidden else (states(H), 1.0)
    with torch.no_grad():
        joint = (-joint_energy(rbm, states(V), hidden)).flatten().softmax(0).view(2**V, -1)
        given_visible = (joint / joint.sum(1, keepdim=True)) @ hidden
        torch.testing.assert_close(rbm.hidden(states(V)), given_visible, rtol=0, atol=1e-8)
        some = slice(None) if not gaussian_hidden else slice(0, len(hidden), 997)
        columns = joint[:, some]
        given_hidden = (columns / columns.sum(0)).T @ states(V)
        likely = columns.sum(0) > 1e-12
        torch.testing.assert_close(rbm.visible(hidden[some])[likely], given_hidden[likely], rtol=0, atol=1e-8)


@pytest.mark.parametrize("gaussian_hidden", [False, True])
def test_with_exact_fantasies_the_gradient_is_that_of_the_likelihood(gaussian_hidden: bool) -> None:
    """d/dw of -log p(data) is the free energy's gradient at the data less its mean under the model (Hinton 2002)."""
    rbm = machine(gaussian_hidden=gaussian_hidden)
    data = states(V)[[1, 6, 6, 15]]
    energies = enumerated_free_energy(rbm, states(V))
    likelihood = enumerated_free_energy(rbm, data).mean() + torch.logsumexp(-energies, 0)
    expected = torch.autograd.grad(likelihood, list(rbm.parameters()))
    with torch.no_grad():
        probabilities = (-rbm.free_energy(states(V))).softmax(0)
    positive = rbm.free_energy(data).mean()
    negative = (probabilities * rbm.free_energy(states(V))).sum()
    got = torch.autograd.grad(positive - negative, list(rbm.parameters()))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("gaussian_hidden", [False, True])
def test_gibbs_sampling_reaches_the_models_distribution(gaussian_hidden: bool) -> None:
    rbm = machine(gaussian_hidden=gaussian_hidden)
    n = 40_000
    with torch.no_grad():
        exact = (-rbm.free_energy(states(V))).softmax(0)
        drawn = rbm.gibbs(torch.zeros(n, V, dtype=torch.float64), 50, Noise(torch.Generator().manual_seed(0)))
    places = (drawn @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).long()
    frequencies = torch.bincount(places, minlength=2**V) / n
    assert (frequencies - exact).abs().max() < 5 * (0.25 / n) ** 0.5


def test_contrastive_divergence_is_data_against_fantasies() -> None:
    rbm = machine(gaussian_hidden=False)
    data = states(V)[[1, 6, 6, 15]]
    scalar, fantasies = contrastive_divergence(rbm, data, 3, torch.Generator().manual_seed(0))
    (got,) = torch.autograd.grad(scalar, [rbm.weight])
    with torch.no_grad():
        expected = fantasies.T @ rbm.hidden(fantasies) / 4 - data.T @ rbm.hidden(data) / 4
    torch.testing.assert_close(got, expected)
    assert set(fantasies.flatten().tolist()) <= {0.0, 1.0}


def test_persistent_chains_go_on_from_where_they_were() -> None:
    rbm = machine(gaussian_hidden=False)
    data, chains = states(V)[:5], states(V)[7:9]
    _, fantasies = contrastive_divergence(rbm, data, 1, torch.Generator().manual_seed(0), chains)
    expected = rbm.gibbs(chains, 1, Noise(torch.Generator().manual_seed(0)))
    assert torch.equal(fantasies, expected)


def test_unrolling_gives_the_stacks_means() -> None:
    torch.manual_seed(0)
    network = DeepBeliefNetwork(DeepBeliefConfig(input_shape=(2, 3), hidden_widths=(5, 4), latent_width=2))
    for parameter in network.stack.parameters():
        nn.init.normal_(parameter)
    network.unroll()
    items = torch.rand(7, 2, 3)
    with torch.inference_mode():
        up = items.flatten(1)
        for rbm in network.machines:
            up = rbm.hidden(up)
        down = up
        for rbm in reversed(network.machines):
            down = rbm.visible(down)
        torch.testing.assert_close(network.codes(items), up)
        torch.testing.assert_close(network(items), down.view(7, 2, 3))
