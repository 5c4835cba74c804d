"""The task `denoise`."""

from collections.abc import Sequence

from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.corruption import corrupt
from models.autoencoding.metrics import psnr, value_range
from models.autoencoding.windows import reconstructions
from models.seeding import seeded
from models.tasks.autoencoding import DenoiseRequest, DenoiseResult


def denoise(model: Autoencoder, requests: Sequence[DenoiseRequest]) -> list[DenoiseResult]:
    """Reconstruct noisy items. Where a request asks for it, add the noise first and measure how much is removed."""
    noisy_items = [_add_noise(model, request) for request in requests]
    results = []
    for request, noisy, denoised in zip(requests, noisy_items, reconstructions(model, noisy_items), strict=True):
        result = DenoiseResult(denoised=denoised)
        if request.noise:
            low, high = value_range(model.value_range, request.item)
            before, after = (
                psnr((request.item - other).square().mean().item(), high - low) for other in (noisy, denoised)
            )
            result = DenoiseResult(denoised=denoised, noisy=noisy, psnr_before=before, psnr_after=after)
        results.append(result)
    return results


def _add_noise(model: Autoencoder, request: DenoiseRequest) -> Tensor:
    if request.noise is None:
        return request.item
    low, high = model.value_range
    return corrupt(request.item, request.noise, seeded(request.seed, request.index), low=low, high=high)
