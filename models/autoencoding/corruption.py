"""The three corruptions of Vincent et al. 2010, section 3.3, each from a given generator.

`item` may be one item or a batch of them; `low` and `high` are the ends of its range.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.tasks.autoencoding import Noise, NoiseType


def corrupt(item: Tensor, noise: Noise, generator: torch.Generator, *, low: float, high: float) -> Tensor:
    """`item` with `noise`, kept within `low` to `high`. Whatever `level` is, the same numbers are drawn."""
    level = torch.full([1] * item.ndim, noise.level)
    return CORRUPTIONS[noise.type](item, level, generator, low, high)


def gaussian(item: Tensor, level: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Adds normal noise of deviation `level`, then clips to the range."""
    return (item + level * torch.randn(item.shape, generator=generator)).clamp(low, high)


def masking(item: Tensor, level: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Sets elements, each with probability `level`, to zero."""
    return item * (torch.rand(item.shape, generator=generator) >= level)


def salt_and_pepper(item: Tensor, level: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Sets elements, each with probability `level`, to the low or the high end, by a fair coin."""
    draw = torch.rand(item.shape, generator=generator)
    item = torch.where(draw < level / 2, low, item)
    return torch.where((draw >= level / 2) & (draw < level), high, item)


CORRUPTIONS: dict[NoiseType, Callable[[Tensor, Tensor, torch.Generator, float, float], Tensor]] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}
