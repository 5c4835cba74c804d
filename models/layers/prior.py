"""Draws from the prior of latents: standard normal, and a class where there are classes."""

import torch
from torch import Tensor
from torch.nn import functional

from models.tasks.autoencoding import SampleRequest


def prior_draw(width: int, labels: tuple[str, ...], request: SampleRequest, generator: torch.Generator) -> Tensor:
    """`[width]` normal numbers scaled by the temperature, then one-hot `[len(labels)]`: the class asked for, or any."""
    latent = torch.randn(width, generator=generator) * request.temperature
    if not labels:
        return latent
    place = int(torch.randint(len(labels), (), generator=generator))
    if request.label is not None:
        place = labels.index(request.label)
    return torch.cat([latent, functional.one_hot(torch.tensor(place), len(labels)).float()])
