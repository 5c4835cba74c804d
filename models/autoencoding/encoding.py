"""The tasks `encode`, `decode` and `reconstruct`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder, FixedShapeAutoencoder
from models.autoencoding.metrics import reconstruction_results
from models.autoencoding.windows import reconstructions
from models.errors import InvalidItems, Problem
from models.ops.cooperation import begin_part
from models.ops.devices import to_cpu
from models.tasks.autoencoding import (
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    ReconstructRequest,
    ReconstructResult,
)

NO_POSTERIOR = "this model's latents are deterministic: there is no posterior to draw from"


def encode(model: Autoencoder, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
    """Map items to latents. Families with a posterior to draw from have a function of their own.

    Raises:
        InvalidItems: a request asks for a draw.
    """
    if any(request.sample for request in requests):
        raise InvalidItems(Problem(NO_POSTERIOR, parameter="sample"))
    latents = model.latents_of([request.item for request in requests])
    return [EncodeResult(latent=latent) for latent in latents.unbind()]


def decode(model: Autoencoder, requests: Sequence[DecodeRequest]) -> list[DecodeResult]:
    """Map latents to items.

    Raises:
        InvalidItems: a request asks for a length that the model does not support.
    """
    shapes = [model.item_shape(request.length) for request in requests]
    items = model.items_of(torch.stack([request.latent for request in requests]), shapes)
    return [DecodeResult(reconstruction=item) for item in items]


def decode_one_by_one(model: Autoencoder, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Map latents `[B, *latent_shape]` to items that do not depend on the batch, not even in the last bit.

    In a batch they would, because how a matrix product is rounded depends on the number and the order of its rows.
    """
    items = []
    for latent, shape in zip(latents, shapes, strict=True):
        begin_part()
        items += model.items_of(latent[None], [shape])
    return items


def reconstruct(model: Autoencoder, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
    """Map items to latents and back, and measure the errors. Families with a posterior have a function of their own.

    Raises:
        InvalidItems: a request has a seed.
    """
    if any(request.seed is not None for request in requests):
        raise InvalidItems(Problem(NO_POSTERIOR, parameter="seed"))
    items = [request.item for request in requests]
    if isinstance(model, FixedShapeAutoencoder) and model.windows is None:
        # Stay with one batch, since each operation takes time.
        batch = torch.stack(items)
        return reconstruction_results(batch, to_cpu(model(model.to_device(batch))))
    restored = reconstructions(model, items)
    if len({item.shape for item in items}) == 1:
        return reconstruction_results(torch.stack(items), torch.stack(restored))
    return [
        reconstruction_results(item[None], reconstruction[None])[0]
        for item, reconstruction in zip(items, restored, strict=True)
    ]
