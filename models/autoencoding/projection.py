"""The task `project`."""

from collections.abc import Sequence

import torch

from models.autoencoding.autoencoder import Autoencoder
from models.results import project_to_plane
from models.tasks.autoencoding import ProjectRequest, ProjectResult


def project(model: Autoencoder, requests: Sequence[ProjectRequest]) -> list[ProjectResult]:
    """Project the items of each request to a plane that is fitted to their latents.

    Raises:
        InvalidItems: a request asks for the latents themselves, and these are not of width 2.
    """
    latents = model.latents_of([item for request in requests for item in request.items])
    parts = torch.split(latents, [len(request.items) for request in requests])
    return [project_to_plane(part.flatten(1), request.method) for request, part in zip(requests, parts, strict=True)]
