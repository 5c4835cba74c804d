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
        InvalidItems: a request asks for what the model or its sampler cannot do; see `check_request`.
    """
    for request in requests:
        check_request(model, request)
    latents = torch.stack([_draw_latent(model, request) for request in requests])
    items = decode_one_by_one(model, latents, [model.item_shape(request.length) for request in requests])
    return [
        SampleResult(sample=item, latent=latent, seed=request.seed)
        for request, item, latent in zip(requests, items, latents.unbind(), strict=True)
    ]


def check_request(model: Autoencoder, request: SampleRequest) -> None:
    """Check that the model has the sampler that a request names, and that it obeys the label, the length and the steps.

    Raises:
        InvalidItems: it does not; the error names the parameter.
    """
    sampler = _sampler_of(model, request)
    if sampler not in model.samplers:
        detail = f"sampler is {sampler!r}; this model has {', '.join(model.samplers)}"
        raise InvalidItems(Problem(detail, parameter="sampler"))
    labels = model.labels_of(sampler)
    if request.label is not None and request.label not in labels:
        known = f"it can be {', '.join(labels)}" if labels else f"this model's sampler {sampler} has no labels"
        raise InvalidItems(Problem(f"label is {request.label!r}; {known}", parameter="label"))
    if request.gibbs_steps is not None and sampler != "gibbs":
        detail = f"gibbs_steps is {request.gibbs_steps}; it is for the sampler gibbs, and the sampler is {sampler}"
        raise InvalidItems(Problem(detail, parameter="gibbs_steps"))
    model.item_shape(request.length)


def _sampler_of(model: Autoencoder, request: SampleRequest) -> str:
    return model.samplers[0] if request.sampler is None else request.sampler


def _draw_latent(model: Autoencoder, request: SampleRequest) -> Tensor:
    return model.draw_latent(request, _sampler_of(model, request), seeded(request.seed, request.index))
