"""The errors of reconstructions.

Shapes: `B` batch.
"""

import math

import torch
from torch import Tensor

from models.tasks.autoencoding import ReconstructResult

MAX_PSNR = 100.0
"""Largest peak signal-to-noise ratio in decibels, that of equal items."""


def reconstruction_results(items: Tensor, reconstructions: Tensor) -> list[ReconstructResult]:
    """Return the reconstructions with their mean squared and mean absolute errors.

    Both arguments are `[B, …]`, with at least one element an item. All errors are computed in few operations, because
    the event loop may take the interpreter lock after each operation.
    """
    errors, element_dims = reconstructions - items, tuple(range(1, items.dim()))
    n_elements = items[0].numel()
    norms = (torch.linalg.vector_norm(errors, order, element_dims, dtype=torch.float64) for order in (2, 1))
    lengths, sums = (norm.tolist() for norm in norms)
    return [
        ReconstructResult(reconstruction=reconstruction, mse=length * length / n_elements, mae=total / n_elements)
        for reconstruction, length, total in zip(reconstructions.unbind(), lengths, sums, strict=True)
    ]


def psnr(mse: float, peak: float) -> float:
    """Return the peak signal-to-noise ratio in decibels, for elements whose values span a range of `peak`."""
    if mse == 0 or peak == 0:
        return MAX_PSNR if mse == 0 else 0.0
    return min(MAX_PSNR, 20 * math.log10(peak) - 10 * math.log10(mse))  # whose square could be too small for a float


def value_range(limits: tuple[float, float], items: Tensor) -> tuple[float, float]:
    """Return the limits of an element's value, or the range of the values in `items` if the limits are infinite."""
    low, high = limits if math.isfinite(limits[0]) else items.aminmax()
    return float(low), float(high)
