"""Factors on the inputs of linear layers, with which their products in int8 are more exact.

A layer norm makes a few elements of every row many times as large as the others, so that they set the scale of the
whole row, and little is left of the others. They are made smaller by factors, and the weights that they are multiplied
by are made larger.

Source: Xiao et al. 2023, SmoothQuant, equation 4.

Shapes: `I` inputs, `O` outputs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.block import Block
from models.ops.linear import pack_linear

STRENGTH = 0.7
"""Share of the differences between the elements that the weights take over, from 0 to 1. It was chosen on MiniLM."""
N_ROWS = 256
"""Number of rows of inputs that are looked at."""
MIN_MAGNITUDE = 1e-5
"""Least magnitude of an element and of its weights, so that dividing by it stays stable."""


def smoothing_factors(model: nn.Module, run: Callable[[], object]) -> dict[nn.Module, Tensor]:
    """Return factors `[I]` for the linear layers of a Transformer that read normalised states.

    A layer whose product is not more exact with factors has none, nor has one that reads nothing.

    Args:
        model: the model in float32 on the CPU, before its linear layers are packed.
        run: has the model read some items, which show how large each element gets.
    """
    layers = [layer for block in model.modules() if isinstance(block, Block) for layer in block.layers_after_norms()]
    inputs: dict[nn.Linear, Tensor] = {}
    with _watched(layers, inputs):
        run()
    factors = {layer: _factors(layer.weight, rows.abs().amax(0)) for layer, rows in inputs.items()}
    return {layer: found for layer, found in factors.items() if _is_more_exact(layer, inputs[layer], found)}


@contextmanager
def _watched(layers: list[nn.Linear], inputs: dict[nn.Linear, Tensor]) -> Iterator[None]:
    """Note the last `N_ROWS` rows of the inputs of layers, `[N, I]`, while the context is open."""

    def note(layer: nn.Linear, arguments: tuple[Tensor]) -> None:
        rows = arguments[0].detach().flatten(0, -2)
        inputs[layer] = torch.cat([inputs[layer], rows] if layer in inputs else [rows])[-N_ROWS:]

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_more_exact(layer: nn.Linear, rows: Tensor, factors: Tensor) -> bool:
    """Return whether the product of rows `[N, I]` in int8 is nearer to that in float32 with factors than without."""
    exact = functional.linear(rows, layer.weight)

    def error(factors: Tensor | None) -> float:
        packed = pack_linear(layer.weight, None, int8=True, factors=factors, dtype=rows.dtype)
        return float((packed.linear(rows) - exact).square().sum())

    return error(factors) < error(None)


def _factors(weight: Tensor, magnitude: Tensor) -> Tensor:
    """Return the factors of a layer with the weight `[O, I]`, whose inputs have these magnitudes, `[I]`."""
    of_inputs = magnitude.clamp(min=MIN_MAGNITUDE) ** STRENGTH
    of_weights = weight.detach().abs().amax(0).clamp(min=MIN_MAGNITUDE) ** (1 - STRENGTH)
    divisors = of_inputs / of_weights
    return divisors.median() / divisors
