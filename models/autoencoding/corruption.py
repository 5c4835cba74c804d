"""The three corruptions of Vincent et al. 2010, section 3.3.

In each function, `item` is an item or a batch of items, `level` has as many dimensions as it and may differ between
the items of a batch, and `low` and `high` are the smallest and the largest value of an element, which may be infinite.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.tasks.autoencoding import Noise, NoiseType


def corrupt(item: Tensor, noise: Noise, generator: torch.Generator, *, low: float, high: float) -> Tensor:
    """Return the item with noise. The number of draws from the generator does not depend on the level.

    Without limits, salt and pepper are the largest and the smallest value of the item, or 1 away from the middle
    between these if they are closer.
    """
    level = torch.full([1] * item.ndim, noise.level)
    if noise.type == "salt_and_pepper" and math.isinf(low):
        smallest, largest = (float(value) for value in item.aminmax())
        middle, distance = (smallest + largest) / 2, max(1.0, (largest - smallest) / 2)
        low, high = middle - distance, middle + distance
    return CORRUPTIONS[noise.type](item, level, generator, low, high)


def gaussian(item: Tensor, level: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Add Gaussian noise with the standard deviation `level`, and clip the sums to the range."""
    noise = level * torch.randn(item.shape, generator=generator)
    return (item + noise).clamp(low, high)


def masking(item: Tensor, level: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Set each element to zero with the probability `level`."""
    is_kept = torch.rand(item.shape, generator=generator) >= level
    return item * is_kept


def salt_and_pepper(item: Tensor, level: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Set each element with the probability `level` to `low` or `high`, both equally likely."""
    draw = torch.rand(item.shape, generator=generator)
    item = torch.where(draw < level / 2, low, item)
    return torch.where((draw >= level / 2) & (draw < level), high, item)


CORRUPTIONS: Mapping[NoiseType, Callable[[Tensor, Tensor, torch.Generator, float, float], Tensor]] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}
