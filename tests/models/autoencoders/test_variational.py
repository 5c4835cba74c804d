"""Compares the bounds with closed forms, and the length of lossless streams with the bound."""

import math
from typing import cast

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from models.autoencoders.variational import FAMILY
from models.autoencoders.variational.config import VariationalConfig
from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoders.variational.objective import divergence, elbo, importance_weighted_bound
from models.autoencoding.compression.stream import parse_stream
from models.tasks import COMPRESS, DECOMPRESS
from models.tasks.autoencoding import CompressRequest, DecompressRequest

X, Z, VARIANCE = 5, 2, 0.49


def affine_parameters(n_in: int, n_out: int, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Return parameters with which `Linear, ReLU, Linear` is the map x W' + b, since relu(x) - relu(-x) = x."""
    identity = torch.eye(n_in)
    return [
        torch.cat([identity, -identity]),
        torch.zeros(2 * n_in),
        torch.cat([weight, -weight], 1).view(n_out, -1),
        bias,
    ]


def linear_gaussian() -> tuple[VariationalAutoencoder, Tensor, Tensor]:
    """Return a model of x = A z + b + noise whose encoder is the exact posterior, A and b."""
    torch.manual_seed(0)
    wide = VariationalConfig(input_shape=(X,), hidden_widths=(2 * X,), latent_width=Z, likelihood="gaussian")
    model = VariationalAutoencoder(wide).eval().requires_grad_(False)
    a, b = torch.randn(X, Z), torch.randn(X)
    a = torch.linalg.qr(a).Q * torch.tensor([1.3, 0.6])  # orthogonal columns: the posterior is diagonal
    precision = torch.eye(Z) + a.T @ a / VARIANCE
    gain = torch.linalg.solve(precision, a.T / VARIANCE)  # E[z | x] = gain (x - b)
    to_posterior = torch.cat([gain, torch.zeros(Z, X)])
    shift = torch.cat([-gain @ b, -precision.diagonal().log()])
    for parameter, value in zip(
        model.encoder.parameters(), affine_parameters(X, 2 * Z, to_posterior, shift), strict=True
    ):
        parameter.copy_(value)
    first, second = (layer for layer in model.decoder if isinstance(layer, torch.nn.Linear))
    identity = torch.eye(Z)
    first.weight.zero_()
    first.weight[: 2 * Z] = torch.cat([identity, -identity])
    first.bias.zero_()
    second.weight.zero_()
    second.weight[:, : 2 * Z] = torch.cat([a, -a], 1)
    second.bias.copy_(b)
    assert model.log_variance is not None
    model.log_variance.fill_(math.log(VARIANCE))
    return model, a, b


def evidence(a: Tensor, b: Tensor, items: Tensor) -> Tensor:
    log_density: Tensor = MultivariateNormal(b, a @ a.T + VARIANCE * torch.eye(X)).log_prob(items)  # type: ignore[no-untyped-call]
    return log_density


def test_with_the_exact_posterior_both_bounds_are_the_evidence() -> None:
    model, a, b = linear_gaussian()
    items = torch.randn(6, X)
    exact = evidence(a, b, items)
    noise = torch.randn(20_000, 6, Z)
    torch.testing.assert_close(elbo(model, items, noise), exact, rtol=0, atol=0.05)
    # log p(x, z) - log q(z | x) is the same for every z: one draw is enough
    torch.testing.assert_close(importance_weighted_bound(model, items, noise[:1]), exact, rtol=0, atol=1e-4)


def test_with_another_posterior_the_elbo_falls_short_by_the_divergence() -> None:
    model, a, b = linear_gaussian()
    items = torch.randn(6, X)
    exact = model.posterior(items)
    last = [layer for layer in model.encoder if isinstance(layer, torch.nn.Linear)][-1]
    last.bias.add_(torch.tensor([0.4, -0.3, 0.5, 0.2]))
    off = model.posterior(items)
    deviation = [(0.5 * posterior.log_variance).exp() for posterior in (off, exact)]
    gap = kl_divergence(Normal(off.mean, deviation[0]), Normal(exact.mean, deviation[1])).sum(1)
    noise = torch.randn(20_000, 6, Z)
    torch.testing.assert_close(elbo(model, items, noise), evidence(a, b, items) - gap, rtol=0, atol=0.05)
    bound = importance_weighted_bound(model, items, noise)
    torch.testing.assert_close(bound, evidence(a, b, items), rtol=0, atol=0.05)
    assert (gap > 0.1).all()


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(4, 3), torch.randn(4, 3)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_the_bounds_of_a_bernoulli_likelihood_agree_with_numerical_integration() -> None:
    torch.manual_seed(1)
    config = VariationalConfig(input_shape=(6,), hidden_widths=(8,), latent_width=1)
    model = VariationalAutoencoder(config).eval().requires_grad_(False)
    items = (torch.rand(5, 6) < 0.5).float()
    lattice = torch.linspace(-10, 10, 4001)
    likelihoods = model.log_likelihood(lattice[:, None, None].expand(-1, 5, -1), items).sum(-1)  # (4001, 5)
    priors = (-0.5 * (lattice.square() + math.log(2 * math.pi)))[:, None]
    exact = torch.logsumexp(likelihoods + priors, 0) + math.log(20 / 4000)
    noise = torch.randn(20_000, 5, 1)
    bound = importance_weighted_bound(model, items, noise)
    torch.testing.assert_close(bound, exact, rtol=0, atol=0.02)
    assert (elbo(model, items, noise) <= exact + 0.02).all()


@pytest.mark.parametrize("labels", [(), ("a", "b", "c")])
def test_bits_back_costs_what_the_elbo_says(labels: tuple[str, ...]) -> None:
    """Measure a stream of 1,000 items of a trained model, with its container; it may be 2% longer."""
    torch.manual_seed(2)
    config = VariationalConfig(input_shape=(1, 10, 10), hidden_widths=(64,), latent_width=6, labels=labels)
    model = cast("VariationalAutoencoder", FAMILY.new_model(config))
    model.digest = b"12345678"
    items = stripes(1000)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(300):
        batch = items[torch.randint(1000, (100,))]
        classes = model.infer_classes(batch) if labels else None
        loss = -elbo(model, batch, torch.randn(1, 100, 6), classes).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    model.eval().requires_grad_(False)
    classes = model.infer_classes(items) if labels else None
    nats = -elbo(model, items, torch.randn(50, 1000, 6), classes).sum().item()
    nats += 1000 * math.log(len(labels) or 1)
    (packed,) = model.run(COMPRESS, [CompressRequest(items=tuple(items), lossless=True)])
    assert 8 * len(packed.stream) * math.log(2) == pytest.approx(nats, rel=0.02)
    assert packed.bits_per_element < 0.5
    (unpacked,) = model.run(DECOMPRESS, [DecompressRequest(stream=packed.stream, max_items=1000)])
    assert torch.equal(torch.stack(unpacked.items), items)
    assert parse_stream(packed.stream, digest=model.digest).n_items == 1000


def stripes(n: int) -> Tensor:
    """Return binary images `[n, 1, 10, 10]` of two bars with rough edges."""
    draw = torch.Generator().manual_seed(0)
    items = torch.full((n, 1, 10, 10), 0.03)
    for item in items:
        row, column = torch.randint(0, 8, (2,), generator=draw).tolist()
        item[:, row : row + 2] = 0.95
        item[:, :, column : column + 2] = 0.95
    return (torch.rand(items.shape, generator=draw) < items).float()
