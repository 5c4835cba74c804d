"""What the variational autoencoder maximises, and the likelihood it is judged by.

Shapes: `B` batch, `K` draws, `Z` latent width, `C` classes. All results are in nats, one an item: `[B]`.
"""

import math

import torch
from torch import Tensor

from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoding.latents import log_normal


def elbo(model: VariationalAutoencoder, items: Tensor, noise: Tensor, classes: Tensor | None = None) -> Tensor:
    """The evidence lower bound, its divergence in closed form, over `[B, *input_shape]`.

    `noise` is `[K, B, Z]`, standard normal: K draws of the reconstruction term are averaged.
    Source: Kingma and Welling 2014, equation 10.
    """
    posterior = model.posterior(items, classes)
    latents = _with_classes(posterior.at(noise), classes)
    return model.log_likelihood(latents, items).mean(0) - divergence(posterior.mean, posterior.log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of `[B, Z]`. Source: Kingma and Welling 2014, appendix B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def importance_weighted_bound(
    model: VariationalAutoencoder, items: Tensor, noise: Tensor, classes: Tensor | None = None
) -> Tensor:
    """log 1/K sum_k p(x, z_k) / q(z_k | x): a bound on log p(x) that tightens with K.

    `noise` is `[K, B, Z]`. With one draw it is an estimate of the ELBO, with thousands one of the log-likelihood.
    Source: Burda, Grosse, Salakhutdinov 2016, equation 8.
    """
    posterior = model.posterior(items, classes)
    latents = posterior.at(noise)
    log_prior = log_normal(latents, torch.zeros_like(latents), torch.zeros_like(latents)).sum(-1)
    log_posterior = log_normal(latents, posterior.mean, posterior.log_variance).sum(-1)
    log_likelihood = model.log_likelihood(_with_classes(latents, classes), items)
    return (log_likelihood + log_prior - log_posterior).logsumexp(0) - math.log(len(noise))


def _with_classes(latents: Tensor, classes: Tensor | None) -> Tensor:
    if classes is None:
        return latents
    return torch.cat([latents, classes.expand(*latents.shape[:-1], -1)], -1)
