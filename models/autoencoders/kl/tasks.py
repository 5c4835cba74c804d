"""The tasks `encode` and `reconstruct` of autoencoders of latent diffusion, which can draw from the posterior.

All pictures of a call have one size.
"""

from collections.abc import Sequence

import torch

from models.autoencoders.kl.model import KlAutoencoder
from models.autoencoding.latents import DiagonalGaussian
from models.autoencoding.metrics import reconstruction_results
from models.seeding import seeded
from models.tasks.autoencoding import EncodeRequest, EncodeResult, ReconstructRequest, ReconstructResult


def encode(model: KlAutoencoder, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
    """Return the posterior of each picture, and its mean or a draw as the latent."""
    posterior = model.posterior_of([request.item for request in requests])
    results = []
    for request, mean, log_variance in zip(requests, posterior.mean, posterior.log_variance, strict=True):
        latent = mean
        if request.sample:
            noise = torch.randn(mean.shape, generator=seeded(request.seed, request.index))
            latent = DiagonalGaussian(mean, log_variance).sample(noise)
        results.append(EncodeResult(latent=latent, mean=mean, log_variance=log_variance))
    return results


def reconstruct(model: KlAutoencoder, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
    """Decode the mean of each picture's posterior, or a draw from it where a request has a seed."""
    encoded = encode(
        model,
        [EncodeRequest(item=r.item, sample=r.seed is not None, seed=r.seed or 0, index=r.index) for r in requests],
    )
    decoded = model.items_of(torch.stack([result.latent for result in encoded]), ())
    return reconstruction_results(torch.stack([request.item for request in requests]), torch.stack(decoded))
