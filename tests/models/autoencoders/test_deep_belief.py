"""Compares restricted Boltzmann machines with sums over every state."""

import itertools
import math
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoders.deep_belief.model import DeepBeliefNetwork, Rbm
from models.autoencoders.deep_belief.objective import contrastive_divergence
from models.seeding import seeded
from models.tasks import SAMPLE
from models.tasks.autoencoding import SampleRequest
from tests.models.tiny import build_case

V, H = 4, 3


def states(n: int) -> Tensor:
    """Return all 2**n vectors of zeros and ones."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)), dtype=torch.float64)


def machine(*, gaussian_hidden: bool) -> Rbm:
    torch.manual_seed(3)
    rbm = Rbm(V, H, gaussian_hidden=gaussian_hidden).double()
    for parameter in rbm.parameters():
        nn.init.normal_(parameter, std=0.6)
    return rbm


def joint_energy(rbm: Rbm, visible: Tensor, hidden: Tensor) -> Tensor:
    """Return E(v, h) for every pair of rows, as defined."""
    quadratic = 0.5 * hidden.square().sum(1) if rbm.gaussian_hidden else torch.zeros(len(hidden))
    return (
        quadratic - visible @ rbm.weight @ hidden.T - (visible @ rbm.visible_bias)[:, None] - hidden @ rbm.hidden_bias
    )


def grid() -> tuple[Tensor, float]:
    """Return the points of a fine lattice in `H` dimensions and the volume of its cells, to compute integrals."""
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
        kept = slice(None) if not gaussian_hidden else slice(0, len(hidden), 997)
        columns = joint[:, kept]
        given_hidden = (columns / columns.sum(0)).T @ states(V)
        likely = columns.sum(0) > 1e-12
        torch.testing.assert_close(rbm.visible(hidden[kept])[likely], given_hidden[likely], rtol=0, atol=1e-8)


@pytest.mark.parametrize("gaussian_hidden", [False, True])
def test_with_exact_samples_the_gradient_is_that_of_the_likelihood(gaussian_hidden: bool) -> None:
    """Take the gradient of the free energy at the data, minus its mean under the model (Hinton 2002)."""
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
    for gradient, expected_gradient in zip(got, expected, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-8)


@pytest.mark.parametrize("gaussian_hidden", [False, True])
def test_gibbs_sampling_reaches_the_models_distribution(gaussian_hidden: bool) -> None:
    rbm = machine(gaussian_hidden=gaussian_hidden)
    n = 40_000
    with torch.no_grad():
        exact = (-rbm.free_energy(states(V))).softmax(0)
        drawn = rbm.gibbs(torch.zeros(n, V, dtype=torch.float64), 50, torch.Generator().manual_seed(0))
    places = (drawn @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).long()
    frequencies = torch.bincount(places, minlength=2**V) / n
    assert (frequencies - exact).abs().max() < 5 * (0.25 / n) ** 0.5


def test_contrastive_divergence_compares_the_data_with_samples() -> None:
    rbm = machine(gaussian_hidden=False)
    data = states(V)[[1, 6, 6, 15]]
    scalar, samples = contrastive_divergence(rbm, data, 3, torch.Generator().manual_seed(0))
    (got,) = torch.autograd.grad(scalar, [rbm.weight])
    with torch.no_grad():
        expected = samples.T @ rbm.hidden(samples) / 4 - data.T @ rbm.hidden(data) / 4
    torch.testing.assert_close(got, expected)
    assert set(samples.flatten().tolist()) <= {0.0, 1.0}


def test_persistent_chains_continue_from_their_states() -> None:
    rbm = machine(gaussian_hidden=False)
    data, chains = states(V)[:5], states(V)[7:9]
    _, samples = contrastive_divergence(rbm, data, 1, torch.Generator().manual_seed(0), chains)
    expected = rbm.gibbs(chains, 1, torch.Generator().manual_seed(0))
    assert torch.equal(samples, expected)


def test_gibbs_samples_depend_on_the_seed_and_are_decoded_from_their_latents() -> None:
    model = cast("DeepBeliefNetwork", build_case("deep_belief-0"))
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    requests = [SampleRequest(seed=seed, sampler="gibbs") for seed in range(10)]
    with torch.inference_mode():
        samples = model.run(SAMPLE, requests)
        decoded = model.items_of(torch.stack([sample.latent for sample in samples]), [model.input_shape] * 10)
        generated = torch.stack([model.sample_by_gibbs(seeded(seed, 0), 1.0) for seed in range(10)])
    assert len({tuple(item.flatten().tolist()) for item in generated}) > 1
    torch.testing.assert_close(torch.stack(decoded), torch.stack([sample.sample for sample in samples]))


def test_a_gibbs_sample_of_fewer_steps_is_an_earlier_state_of_the_same_chain() -> None:
    model = cast("DeepBeliefNetwork", build_case("deep_belief-0"))
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    generator, top = seeded(5, 0), model.machines[-1]
    with torch.inference_mode():
        visible = model.chains[torch.randint(len(model.chains), (1,), generator=generator)]
        for n_steps in range(8):
            means = top.visible(top.hidden(visible))
            for rbm in reversed(model.machines[:-1]):
                means = rbm.visible(means)
            item = model.sample_by_gibbs(seeded(5, 0), 1.0, n_steps)
            torch.testing.assert_close(item, means.view(model.input_shape))
            hidden = top.hidden(visible) + torch.randn(1, *model.latent_shape, generator=generator)
            visible = (torch.rand(visible.shape, generator=generator) < top.visible(hidden)).float()
        requests = [SampleRequest(seed=5, sampler="gibbs", gibbs_steps=n_steps) for n_steps in (7, 200, None)]
        short, long, default = model.run(SAMPLE, requests)
        (expected,) = model.items_of(model.latents_of([item]), [model.input_shape])
    torch.testing.assert_close(short.sample, expected)
    assert torch.equal(long.sample, default.sample)
    assert not torch.equal(short.sample, long.sample)


def test_the_unrolled_network_computes_the_means_of_the_stack() -> None:
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
        torch.testing.assert_close(network.encode(items), up)
        torch.testing.assert_close(network(items), down.view(7, 2, 3))
