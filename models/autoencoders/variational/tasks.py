"""The tasks `encode` and `reconstruct` of the variational autoencoder, which can draw from the posterior.

Shapes: `Z` number of continuous elements of a latent.
"""

from collections.abc import Sequence

import torch

from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoding.latents import DiagonalGaussian
from models.autoencoding.metrics import reconstruction_results
from models.ops.devices import to_cpu
from models.seeding import seeded
from models.tasks.autoencoding import EncodeRequest, EncodeResult, ReconstructRequest, ReconstructResult


def encode(model: VariationalAutoencoder, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
    """Return the posterior of each item, and its mean or a draw as the latent."""
    items = model.to_device(torch.stack([request.item for request in requests]))
    posterior = model.posterior(items)
    latents = to_cpu(model.append_classes(posterior.mean.to(items.dtype), items))
    means, log_variances = to_cpu(posterior.mean), to_cpu(posterior.log_variance)
    results = []
    for request, latent, mean, log_variance in zip(requests, latents, means, log_variances, strict=True):
        if request.sample:
            noise = torch.randn(model.latent_width, generator=seeded(request.seed, request.index))
            draw = DiagonalGaussian(mean, log_variance).sample(noise)  # (Z)
            latent = torch.cat([draw, latent[model.latent_width :]])
        results.append(EncodeResult(latent=latent, mean=mean, log_variance=log_variance))
    return results


def reconstruct(model: VariationalAutoencoder, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
    """Decode the mean of each item's posterior, or a draw from it where a request has a seed."""
    encoded = encode(
        model,
        [EncodeRequest(item=r.item, sample=r.seed is not None, seed=r.seed or 0, index=r.index) for r in requests],
    )
    latents = torch.stack([result.latent for result in encoded])
    decoded = to_cpu(model.decode(model.to_device(latents)))
    return reconstruction_results(torch.stack([request.item for request in requests]), decoded)
