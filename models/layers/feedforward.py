"""Feed-forward networks."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_new": lambda: nn.GELU("tanh"),
    "gelu_fast": lambda: nn.GELU("tanh"),
    "gelu_pytorch_tanh": lambda: nn.GELU("tanh"),
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""Activations by their names in published configurations, several of which mean GELU approximated by tanh."""


class FeedForward(nn.Sequential):
    """Linear layers from `widths[0]` to `widths[-1]`, with an activation after each but the last."""

    def __init__(self, widths: Sequence[int], activation: str) -> None:
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
        super().__init__(*layers[:-1])
