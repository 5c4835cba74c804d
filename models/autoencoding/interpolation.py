"""The task `interpolate`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.tasks.autoencoding import InterpolateRequest, InterpolateResult, InterpolationMethod

MIN_SINE = 1e-12
"""Smallest sine of the angle between two latents that is not taken for a rounding error of float64."""


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
    stays where a Gaussian prior has its mass. Opposite directions have no plane of rotation in common; the path then
    turns towards the axis to which they are most nearly orthogonal. It is linear where there is nothing to rotate:
    between equal directions, from or to zero, and between latents of a single element.

    Source: Shoemake 1985; White 2016, section 2.
    """
    share = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    first, last = start.double().flatten(), end.double().flatten()
    path = _rotate(first, last, share) if method == "slerp" else None
    if path is None:
        path = torch.lerp(first, last, share)
    path = path.float().view(steps, *start.shape)
    path[-1:], path[:1] = end, start
    return path


def _rotate(start: Tensor, end: Tensor, share: Tensor) -> Tensor | None:
    """Return the spherical path `[steps, Z]` between vectors `[Z]`, in float64; None where nothing rotates."""
    norms = start.norm(), end.norm()
    if min(norms) == 0 or len(start) == 1:
        return None
    first, last = start / norms[0], end / norms[1]
    cosine = first @ last
    sideways = last - cosine * first
    if sideways.norm() < MIN_SINE:
        if cosine > 0:
            return None
        axis = torch.zeros_like(first)
        axis[first.abs().argmin()] = 1
        sideways = axis - (axis @ first) * first
    angle = share * torch.atan2((last - cosine * first).norm(), cosine)
    directions = angle.cos() * first + angle.sin() * (sideways / sideways.norm())
    path: Tensor = directions * torch.lerp(*norms, share)
    return path
