"""How far reconstructions are from what they are of.

Shapes: `B` batch.
"""

import math

import torch
from torch import Tensor

from models.tasks.autoencoding import ReconstructResult

MAX_PSNR = 100.0
"""In dB; what equals the original to the last bit gets this."""


def compared(items: Tensor, reconstructions: Tensor) -> list[ReconstructResult]:
    """Of `[B, …]` each, of at least one element: every reconstruction with its mean squared and mean absolute error.

    In few operations, for after each of them a busy event loop has to give the interpreter's lock back.
    """
    errors, each = reconstructions - items, tuple(range(1, items.dim()))
    n = items[0].numel()
    norms = (torch.linalg.vector_norm(errors, order, each, dtype=torch.float64) for order in (2, 1))
    lengths, sums = (norm.tolist() for norm in norms)
    return [
        ReconstructResult(reconstruction=reconstruction, mse=length * length / n, mae=total / n)
        for reconstruction, length, total in zip(reconstructions.unbind(), lengths, sums, strict=True)
    ]


def psnr(mse: float, peak: float) -> float:
    """Peak signal-to-noise ratio in dB."""
    if mse == 0 or peak == 0:
        return MAX_PSNR if mse == 0 else 0.0
    return min(MAX_PSNR, 10 * math.log10(peak * peak / mse))
