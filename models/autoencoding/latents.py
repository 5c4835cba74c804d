"""Distributions of latents.

Shapes: `B` batch, `Z` latent width.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidItems, Problem
from models.tasks.autoencoding import SampleRequest

MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -14, 6
"""Limits of the logarithm of a variance."""


@dataclass(frozen=True, slots=True)
class DiagonalGaussian:
    """A normal distribution with independent elements. `mean` and `log_variance` are `[B, Z]`, in float32."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> Self:
        """Split the output of a network, `[B, 2 Z]`, into means and log-variances, and clip the latter."""
        mean, log_variance = parameters.float().chunk(2, dim=-1)
        return cls(mean, log_variance.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE))

    def sample(self, noise: Tensor) -> Tensor:
        """Return draws that are differentiable: mean + deviation * noise, for standard normal noise `[…, B, Z]`.

        Source: Kingma and Welling 2014, section 2.4 (the reparameterisation).
        """
        deviation = (0.5 * self.log_variance).exp()
        return self.mean + deviation * noise


def check_finite(latents: Tensor) -> None:
    """Raise InvalidItems unless all latents are finite, for what cannot be computed of other ones."""
    if not latents.isfinite().all():
        raise InvalidItems(Problem("numbers of the item are too large: its latent overflows"))


def log_normal(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(values; mean, exp(log_variance)) for each element."""
    distance = (values - mean).square() / log_variance.exp()
    return -0.5 * (math.log(2 * math.pi) + log_variance + distance)


def draw_from_prior(
    latent_width: int, labels: tuple[str, ...], request: SampleRequest, generator: torch.Generator
) -> Tensor:
    """Draw a latent `[latent_width]` from the standard normal distribution, scaled by the request's temperature.

    If there are labels, the last elements are a one-hot class instead: the one that the request names, or a random one.
    """
    normal = torch.randn(latent_width - len(labels), generator=generator) * request.temperature
    if not labels:
        return normal
    index = int(torch.randint(len(labels), (), generator=generator))
    if request.label is not None:
        index = labels.index(request.label)
    return torch.cat([normal, functional.one_hot(torch.tensor(index), len(labels)).float()])
