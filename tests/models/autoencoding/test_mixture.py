"""Compares fits with a mixture whose parameters are known."""

import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from models.autoencoding.mixture import GaussianMixture, fit_mixture


def known() -> MixtureSameFamily:
    factors = torch.tensor([[[1.0, 0.0], [0.8, 0.4]], [[0.3, 0.0], [0.0, 0.9]]])
    means = torch.tensor([[-3.0, 0.0], [3.0, 2.0]])
    return MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7])), MultivariateNormal(means, scale_tril=factors))


def as_distribution(mixture: GaussianMixture) -> MixtureSameFamily:
    """Return the distribution of latents, all of whose principal components the mixture models."""
    factors = mixture.basis @ mixture.factors
    covariances = factors @ factors.mT
    means = mixture.mean + mixture.means @ mixture.basis.T
    return MixtureSameFamily(Categorical(mixture.weights), MultivariateNormal(means, covariances))


def test_the_fit_is_as_likely_as_the_truth() -> None:
    torch.manual_seed(0)
    train, test = known().sample((4000,)), known().sample((4000,))  # type: ignore[no-untyped-call]
    fitted = as_distribution(fit_mixture(train, 2, torch.Generator().manual_seed(0)))
    truth, fit = (mixture.log_prob(test).mean() for mixture in (known(), fitted))  # type: ignore[no-untyped-call]
    assert abs(truth - fit) < 0.01
    assert (fitted.mixture_distribution.probs.sort().values - torch.tensor([0.3, 0.7])).abs().max() < 0.03


def test_draws_follow_the_fit() -> None:
    torch.manual_seed(0)
    train = known().sample((2000,))  # type: ignore[no-untyped-call]
    mixture = fit_mixture(train, 2, torch.Generator().manual_seed(0))
    draws = torch.stack([mixture.draw(torch.Generator().manual_seed(seed), 1.0) for seed in range(3000)])
    expected = as_distribution(mixture)
    torch.testing.assert_close(draws.mean(0), expected.mean, rtol=0, atol=0.2)
    torch.testing.assert_close(draws.var(0), expected.variance, rtol=0.1, atol=0)


def test_draws_at_temperature_zero_are_the_means_of_components() -> None:
    torch.manual_seed(0)
    mixture = fit_mixture(known().sample((500,)), 2, torch.Generator().manual_seed(0))  # type: ignore[no-untyped-call]
    means = mixture.mean + mixture.means @ mixture.basis.T
    for seed in range(20):
        draw = mixture.draw(torch.Generator().manual_seed(seed), 0.0)
        assert (means - draw).abs().sum(1).min() < 1e-5


def test_further_principal_components_keep_their_variance() -> None:
    torch.manual_seed(0)
    latents = torch.randn(3000, 80) * torch.linspace(3, 0.5, 80)
    mixture = fit_mixture(latents, 1, torch.Generator().manual_seed(0))
    assert mixture.basis.shape == (80, 64)
    draws = torch.stack([mixture.draw(torch.Generator().manual_seed(seed), 1.0) for seed in range(3000)])
    torch.testing.assert_close(draws.var(0), latents.var(0), rtol=0.2, atol=0)


def test_elements_without_variance_are_allowed() -> None:
    latents = torch.cat([torch.randn(100, 2), torch.full((100, 3), 7.0)], 1)
    draw = fit_mixture(latents, 5, torch.Generator().manual_seed(0)).draw(torch.Generator().manual_seed(1), 1.0)
    torch.testing.assert_close(draw[2:], torch.full((3,), 7.0), rtol=0, atol=0.1)
