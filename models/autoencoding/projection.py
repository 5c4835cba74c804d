"""The task `project`."""

from collections.abc import Sequence

import torch

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.latents import check_finite
from models.results import project_to_plane
from models.tasks.autoencoding import ProjectRequest, ProjectResult


def project(model: Autoencoder, requests: Sequence[ProjectRequest]) -> list[ProjectResult]:
    """Project the items of each request to a plane that is fitted to their latents.

    Raises:
        InvalidItems: a request asks for the latents themselves, and these are not of width 2; or a latent overflows.
    """
    items = [item for request in requests for item in request.items]
    keys = [(item.shape, item.numpy().tobytes()) for item in items]
    different = dict(zip(keys, items, strict=True))  # equal items have equal latents, which a batch may not give them
    rows = {key: row for row, key in enumerate(different)}
    latents = model.latents_of(list(different.values()))
    check_finite(latents)
    parts = torch.split(latents[[rows[key] for key in keys]], [len(request.items) for request in requests])
    return [project_to_plane(part.flatten(1), request.method) for request, part in zip(requests, parts, strict=True)]
