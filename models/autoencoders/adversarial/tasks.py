"""The task `encode` of the adversarial autoencoder, which has one more result than that of other families."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from models.autoencoders.adversarial.model import AdversarialAutoencoder
from models.autoencoding import encoding
from models.ops.devices import to_cpu
from models.tasks.autoencoding import EncodeRequest, EncodeResult


def encode(model: AdversarialAutoencoder, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
    """Map items to latents, and return how likely the discriminator takes each latent for a draw from the prior.

    Raises:
        InvalidItems: a request asks for a draw.
    """
    results = encoding.encode(model, requests)
    codes = torch.stack([result.latent[: model.latent_width] for result in results])
    scores = to_cpu(model.discriminator(model.to_device(codes)).sigmoid()).squeeze(1).tolist()
    return [replace(result, prior_score=score) for result, score in zip(results, scores, strict=True)]
