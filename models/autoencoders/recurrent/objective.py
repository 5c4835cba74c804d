"""The loss of the recurrent autoencoder: the squared error of its reconstructions (Malhotra et al. 2016, section 2)."""

import torch
from torch import Tensor


def masked_squared_error(reconstructions: Tensor, series: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean squared error of `[B, T, C]` over the elements before the `lengths` `[B]`: a scalar."""
    is_real = torch.arange(series.shape[1], device=series.device) < lengths[:, None]  # (B, T)
    squares = (reconstructions - series).square().mean(2)
    return (squares * is_real).sum() / is_real.sum()
