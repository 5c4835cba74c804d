"""What the packed weights of linear layers have in common, whichever implementation they are packed for.

Shapes: `I` inputs, `O` outputs.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor

Gelu = Literal["none", "tanh"]
"""The form of GELU after a linear layer, in torch's names: exact, or approximated by tanh."""

MAX_INT8 = 127
"""Largest magnitude of a weight in int8: rows are rounded to 255 values from -127 to 127."""

MIN_SCALE = 1e-30
"""Least scale of a row in int8. A row of zeros has no scale of its own."""


class LinearWeights(Protocol):
    """The weights of a linear layer in the layout of one implementation, and of the GELU after it, if there is one."""

    n_bytes: int

    def linear(self, x: Tensor) -> Tensor:
        """Return x W' + b, then GELU: `[…, I]` to `[…, O]` of the dtype of x."""


def quantise_rows(weight: Tensor, factors: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Round each row of `[O, I]` to 255 steps between minus and plus its largest magnitude: int8, and scales `[O]`.

    The weights are divided by `factors` `[I]` before, by which the inputs will be multiplied.

    Source: Dettmers et al. 2022, section 2.1, "vector-wise quantisation".
    """
    weight = weight.detach().float()
    if factors is not None:
        weight = weight / factors
    scales = (weight.abs().amax(1) / MAX_INT8).clamp(min=MIN_SCALE)
    return (weight / scales[:, None]).round().to(torch.int8), scales
