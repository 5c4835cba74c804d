"""Ways from one latent to another.

Draws from the prior of latents: standard normal, and a class where there are classes.

Diagonal normal distributions as networks put them out."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tasks.autoencoding import Method, SampleRequest

_PARALLEL = 1e-3
"""Sine of an angle too close to 0 or 180 degrees to turn by: single precision knows no better."""


def between(start: Tensor, end: Tensor, steps: int, method: Method) -> Tensor:
    """`[steps, *shape]` from `start` to `end`, both included; a single step is `start`.

    `slerp` turns from one direction to the other at a constant rate while the length changes linearly, which stays
    where a gaussian prior has its mass. Source: Shoemake 1985; White 2016, section 2.
    """
    share = torch.linspace(0, 1, steps).view(-1, *[1] * start.ndim)
    linear = torch.lerp(start, end, share)
    if method == "linear":
        return linear
    lengths = start.norm(), end.norm()
    if min(lengths) == 0:
        return linear
    one, other = start / lengths[0], end / lengths[1]
    cosine = (one * other).sum().clamp(-1, 1)
    angle = cosine.arccos()
    if angle.sin() < _PARALLEL:
        return linear
    direction = (((1 - share) * angle).sin() * one + (share * angle).sin() * other) / angle.sin()
    path: Tensor = direction * torch.lerp(*lengths, share)
    return path


def prior_draw(width: int, labels: tuple[str, ...], request: SampleRequest, generator: torch.Generator) -> Tensor:
    """`[width]` normal numbers scaled by the temperature, then one-hot `[len(labels)]`: the class asked for, or any."""
    latent = torch.randn(width, generator=generator) * request.temperature
    if not labels:
        return latent
    place = int(torch.randint(len(labels), (), generator=generator))
    if request.label is not None:
        place = labels.index(request.label)
    return torch.cat([latent, functional.one_hot(torch.tensor(place), len(labels)).float()])


MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -14, 6


@dataclass(frozen=True, slots=True)
class DiagonalGaussian:
    """`mean` and `log_variance`, both `[B, Z]`."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> "DiagonalGaussian":
        """From `[B, 2 Z]`: means, then log-variances, which are kept where float32 can exponentiate them."""
        mean, log_variance = parameters.float().chunk(2, dim=-1)
        return cls(mean, log_variance.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE))

    def at(self, noise: Tensor) -> Tensor:
        """mean + deviation * noise, for `noise` of the mean's shape or with dimensions before it.

        The reparameterisation of Kingma and Welling 2014, section 2.4.
        """
        return self.mean + (0.5 * self.log_variance).exp() * noise


def log_normal(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(values; mean, exp(log_variance)), element by element."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (values - mean).square() / log_variance.exp())
