"""The tasks of an autoencoder whose items all have one shape, answered from its two networks.

Shapes: `B` batch; the rest are the model's own `input_shape` and `latent_shape`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.errors import InvalidItems, Problem
from models.family import Model
from models.tasks import (
    DECODE,
    ENCODE,
    RECONSTRUCT,
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    ReconstructRequest,
    ReconstructResult,
    Request,
    Task,
)


class FixedShapeAutoencoder(Model):
    """Batches requests, runs `encoder` and `decoder`, and takes the batch apart again.

    A family sets `encoder` (`[B, *input_shape]` to `[B, *latent_shape]`), `decoder` (the way back) and the two shapes.
    """

    encoder: nn.Module
    decoder: nn.Module

    def forward(self, items: Tensor) -> Tensor:
        """Reconstruct `[B, *input_shape]`."""
        reconstructions: Tensor = self.decoder(self.encoder(items))
        return reconstructions

    def encode(self, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
        """Latents of the items; refuses `sample`, for there is no posterior to draw from.

        Raises:
            InvalidItems: a request asks for a sample.
        """
        if any(request.sample for request in requests):
            raise InvalidItems(Problem("this model's latent is deterministic: `sample` must be false"))
        latents = self._on_cpu(self.encoder(self._batch([request.item for request in requests])))
        return [EncodeResult(latent=latent) for latent in latents.unbind()]

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodeResult]:
        """Items of the latents."""
        items = self._on_cpu(self.decoder(self._batch([request.latent for request in requests])))
        return [DecodeResult(reconstruction=item) for item in items.unbind()]

    def reconstruct(self, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
        """Items after the round trip, with their mean squared and mean absolute error."""
        items = torch.stack([request.item for request in requests])
        reconstructions = self._on_cpu(self(self._to_device(items)))
        errors = (reconstructions - items).flatten(1)
        mse, mae = errors.square().mean(1).tolist(), errors.abs().mean(1).tolist()
        return [
            ReconstructResult(reconstruction=reconstruction, mse=mse[i], mae=mae[i])
            for i, reconstruction in enumerate(reconstructions.unbind())
        ]

    def example(self, task: Task) -> Request:
        """A request full of zeros, the one item every range allows."""
        item = torch.zeros(self.input_shape)
        requests: dict[Task, Request] = {
            ENCODE: EncodeRequest(item=item),
            DECODE: DecodeRequest(latent=torch.zeros(self.latent_shape)),
            RECONSTRUCT: ReconstructRequest(item=item),
        }
        return requests[task]

    def _batch(self, rows: list[Tensor]) -> Tensor:
        return self._to_device(torch.stack(rows))

    def _to_device(self, batch: Tensor) -> Tensor:
        weight = next(self.parameters())
        return batch.to(device=weight.device, dtype=weight.dtype)

    @staticmethod
    def _on_cpu(batch: Tensor) -> Tensor:
        return batch.to(device="cpu", dtype=torch.float32)
