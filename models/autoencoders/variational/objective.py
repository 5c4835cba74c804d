"""The loss of the variational autoencoder, the negative evidence lower bound, and a tighter bound to evaluate it.

Shapes: `B` batch, `K` draws, `Z` number of continuous elements of a latent, `C` classes.
"""

import math

import torch
from torch import Tensor

from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoding.latents import log_normal


def elbo(model: VariationalAutoencoder, items: Tensor, noise: Tensor, classes: Tensor | None = None) -> Tensor:
    """Return the evidence lower bound of each item in nats, `[B]`, with the divergence in closed form.

    `items` are `[B, *input_shape]`. `noise` is standard normal, `[K, B, Z]`; the reconstruction term is averaged over
    the K draws. `classes` are one-hot, `[B, C]`, and required of models with labels.

    Source: Kingma and Welling 2014, equation 10.
    """
    posterior = model.posterior(items, classes)
    latents = _append_classes(posterior.sample(noise), classes)
    return model.log_likelihood(latents, items).sum(-1).mean(0) - divergence(posterior.mean, posterior.log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_variance)) || N(0, 1)) in nats: `[B, Z]` to `[B]`.

    Source: Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def importance_weighted_bound(
    model: VariationalAutoencoder, items: Tensor, noise: Tensor, classes: Tensor | None = None
) -> Tensor:
    """Return log 1/K sum_k p(x, z_k) / q(z_k | x) of each item in nats, `[B]`: a lower bound on log p(x).

    The arguments are those of `elbo`. The bound becomes tighter with K: with one draw it is an estimate of the evidence
    lower bound, with thousands of the log-likelihood.

    Source: Burda, Grosse, Salakhutdinov 2016, equation 8.
    """
    posterior = model.posterior(items, classes)
    latents = posterior.sample(noise)
    log_prior = log_normal(latents, torch.zeros_like(latents), torch.zeros_like(latents)).sum(-1)
    log_posterior = log_normal(latents, posterior.mean, posterior.log_variance).sum(-1)
    log_likelihood = model.log_likelihood(_append_classes(latents, classes), items).sum(-1)
    return (log_likelihood + log_prior - log_posterior).logsumexp(0) - math.log(len(noise))


def _append_classes(latents: Tensor, classes: Tensor | None) -> Tensor:
    if classes is None:
        return latents
    return torch.cat([latents, classes.expand(*latents.shape[:-1], -1)], -1)
