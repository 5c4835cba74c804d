"""What the recurrent autoencoder minimises."""

import torch
from torch import Tensor


def masked_squared_error(reconstructions: Tensor, series: Tensor, lengths: Tensor) -> Tensor:
    """Mean squared error over the real elements of `[B, T, C]`: those before each series' length; a scalar.

    Source: Malhotra et al. 2016, section 2.
    """
    real = torch.arange(series.shape[1], device=series.device) < lengths[:, None]  # (B, T)
    squares = (reconstructions - series).square().mean(2)
    return (squares * real).sum() / real.sum()
