"""The task `sample`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.encoding import decode_one_by_one
from models.errors import InvalidItems, Problem
from models.seeding import seeded
from models.tasks.autoencoding import SampleRequest, SampleResult


def sample(model: Autoencoder, requests: Sequence[SampleRequest]) -> list[SampleResult]:
    """Generate items. An item depends on its request alone, and not on the others in the batch.

    Raises:
        InvalidItems: the model does not have the sampler or the label that a request names, or does not support the
            length.
    """
    latents = torch.stack([_draw_latent(model, request) for request in requests])
    items = decode_one_by_one(model, latents, [model.item_shape(request.length) for request in requests])
    return [
        SampleResult(sample=item, latent=latent, seed=request.seed)
        for request, item, latent in zip(requests, items, latents.unbind(), strict=True)
    ]


def _draw_latent(model: Autoencoder, request: SampleRequest) -> Tensor:
    sampler = request.sampler or model.samplers[0]
    if sampler not in model.samplers:
        raise InvalidItems(Problem(f"sampler is {sampler!r}; this model has {', '.join(model.samplers)}"))
    if request.label is not None and request.label not in model.labels:
        known = f"this model has {', '.join(model.labels)}" if model.labels else "this model has no labels"
        raise InvalidItems(Problem(f"label is {request.label!r}; {known}"))
    return model.draw_latent(request, sampler, seeded(request.seed, request.index))
