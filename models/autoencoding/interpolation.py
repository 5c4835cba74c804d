"""The task `interpolate`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.tasks.autoencoding import InterpolateRequest, InterpolateResult, InterpolationMethod

MIN_SINE = 1e-3
"""Smallest sine of the angle between two latents at which they are interpolated spherically.

Of vectors that are closer to parallel, float32 does not determine the plane of the rotation well enough.
"""


def interpolate(model: Autoencoder, requests: Sequence[InterpolateRequest]) -> list[InterpolateResult]:
    """Decode the latents on a path between the latents of two items. The length of series changes linearly."""
    ends = model.latents_of([item for request in requests for item in (request.start, request.end)])
    paths = [
        interpolate_latents(ends[2 * i], ends[2 * i + 1], request.steps, request.method)
        for i, request in enumerate(requests)
    ]
    shapes = []
    for request in requests:
        lengths = torch.linspace(len(request.start), len(request.end), request.steps).round().int().tolist()
        shapes += [(length, *request.start.shape[1:]) for length in lengths]
    frames = iter(model.items_of(torch.cat(paths), shapes))
    return [
        InterpolateResult(frames=tuple(next(frames) for _ in range(request.steps)), latents=path)
        for request, path in zip(requests, paths, strict=True)
    ]


def interpolate_latents(start: Tensor, end: Tensor, steps: int, method: InterpolationMethod) -> Tensor:
    """Return a path `[steps, *latent_shape]` that includes both ends; a single step is the start.

    `slerp` rotates from one direction to the other at a constant rate while the norm changes linearly, so that the path
    stays where a Gaussian prior has its mass. Where no plane of rotation is defined, the path is linear.

    Source: Shoemake 1985; White 2016, section 2.
    """
    share = torch.linspace(0, 1, steps).view(-1, *[1] * start.ndim)
    linear = torch.lerp(start, end, share)
    if method == "linear":
        return linear
    norms = start.norm(), end.norm()
    if min(norms) == 0:
        return linear
    first, last = start / norms[0], end / norms[1]
    cosine = (first * last).sum().clamp(-1, 1)
    angle = cosine.arccos()
    if angle.sin() < MIN_SINE:
        return linear
    direction = (((1 - share) * angle).sin() * first + (share * angle).sin() * last) / angle.sin()
    path: Tensor = direction * torch.lerp(*norms, share)
    return path
