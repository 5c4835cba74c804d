"""Feed-forward networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from models.layers.activations import ACTIVATIONS


class FeedForward(nn.Sequential):
    """Linear layers from `widths[0]` to `widths[-1]`, with an activation after each but the last."""

    def __init__(self, widths: Sequence[int], activation: str) -> None:
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
        super().__init__(*layers[:-1])
