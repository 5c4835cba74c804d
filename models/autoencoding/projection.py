"""The task `project`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.latents import check_finite
from models.results import project_to_plane
from models.tasks.autoencoding import ProjectionMethod, ProjectRequest, ProjectResult


def project(model: Autoencoder, requests: Sequence[ProjectRequest]) -> list[ProjectResult]:
    """Project the items of each request to a plane that is fitted to their latents.

    Raises:
        InvalidItems: a request asks for the latents themselves, and these are not of width 2; or a latent overflows.
    """
    groups = [request.items for request in requests]
    return project_groups(model.latents_of, groups, [request.method for request in requests])


def project_groups(
    latents_of: Callable[[Sequence[Tensor]], Tensor],
    groups: Sequence[Sequence[Tensor]],
    methods: Sequence[ProjectionMethod],
) -> list[ProjectResult]:
    """Project each group of items by its method to a plane of its own.

    `latents_of` maps items to latents `[n, ...]`. It is called once, with the different items of all groups.

    Raises:
        InvalidItems: a method is `latent`, and the latents are not of width 2; or a latent overflows.
    """
    items = [item for group in groups for item in group]
    keys = [(item.shape, item.numpy().tobytes()) for item in items]
    different = dict(zip(keys, items, strict=True))  # equal items have equal latents, which a batch may not give them
    rows = {key: row for row, key in enumerate(different)}
    latents = latents_of(list(different.values()))
    check_finite(latents)
    parts = torch.split(latents[[rows[key] for key in keys]], [len(group) for group in groups])
    return [project_to_plane(part.flatten(1), method) for part, method in zip(parts, methods, strict=True)]
