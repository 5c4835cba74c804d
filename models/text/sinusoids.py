"""Sinusoidal position embeddings."""

import torch
from torch import Tensor


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Return sines of rising wavelength in the first half of the width, and cosines in the second: `[n_positions, D]`.

    Source: Vaswani et al. 2017, section 3.5, with the order of the elements that Marian uses.
    """
    dimensions = torch.arange(width)
    rates = 10_000.0 ** (-2.0 * (dimensions // 2).double() / width)
    angles = torch.arange(n_positions)[:, None].double() * rates
    return torch.cat([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=1).float()
