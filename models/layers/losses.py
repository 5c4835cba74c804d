"""Losses that several families minimise."""

from torch import Tensor


def squared_error(reconstructions: Tensor, items: Tensor) -> Tensor:
    """Squared error summed over an item's elements, averaged over the batch: a scalar.

    Both tensors are `[B, *input_shape]`. Source: Hinton and Salakhutdinov 2006, supporting text.
    """
    return (reconstructions - items).square().flatten(1).sum(1).mean()
