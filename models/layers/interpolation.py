"""Ways from one latent to another."""

import torch
from torch import Tensor

from models.tasks.autoencoding import Method

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
