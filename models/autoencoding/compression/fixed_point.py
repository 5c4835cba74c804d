"""Networks of linear layers and rectifiers in integers, which compute the same on every machine.

The integers are held in float64 and stay below 2**53 in magnitude. Their sums are exact in any order, so that a matrix
product depends neither on the processor nor on the number of rows.

Source: Balle, Johnston, Minnen 2019, Integer Networks for Data Compression with Latent-Variable Models.
"""

from torch import Tensor, nn

from models.autoencoding.compression.entropy import FRACTION_BITS
from models.errors import CheckpointError

SCALE = float(2**FRACTION_BITS)
MAX_WEIGHT, MAX_ACTIVATION, MAX_WIDTH = 2.0**4, 2.0**10, 2**13
"""Limits whose product is 2**51 with `FRACTION_BITS` further bits for each of the first two."""


class FixedPointNetwork:
    """A sequence of linear layers and rectifiers whose numbers have `FRACTION_BITS` bits after the binary point."""

    def __init__(self, network: nn.Sequential) -> None:
        """Round the weights of a network.

        Raises:
            CheckpointError: the network has another kind of layer, or a layer or a weight is too large to be computed
                exactly.
        """
        self._layers: list[tuple[Tensor, Tensor] | None] = []
        """The weight and the bias of a linear layer; None for a rectifier."""
        for layer in network:
            if reason := _find_obstacle(layer):
                raise CheckpointError(reason)
            if isinstance(layer, nn.Linear):
                weight, bias = layer.weight.detach().cpu().double(), layer.bias.detach().cpu().double()
                self._layers.append(((weight * SCALE).round().T, (bias * SCALE * SCALE).round()))
            else:
                self._layers.append(None)

    def __call__(self, values: Tensor) -> Tensor:
        """Map integers `[B, d_in]` to integers `[B, d_out]`, both in float64."""
        for layer in self._layers:
            if layer is None:
                values = values.clamp(min=0)
            else:
                weight, bias = layer
                values = ((values @ weight + bias) / SCALE).floor()
                values = values.clamp(-MAX_ACTIVATION * SCALE, MAX_ACTIVATION * SCALE)
        return values


def linear_twin(weight: Tensor, bias: Tensor) -> FixedPointNetwork:
    """Return the integer twin of a linear map with a weight `[d_out, d_in]` and a bias `[d_out]`.

    Raises:
        CheckpointError: it cannot be computed exactly.
    """
    layer = _as_layer(weight, bias)
    return FixedPointNetwork(nn.Sequential(layer))


def has_linear_twin(weight: Tensor, bias: Tensor) -> bool:
    """Return whether `linear_twin` can be made."""
    layer = _as_layer(weight, bias)
    return _find_obstacle(layer) is None


def has_integer_twin(network: nn.Sequential) -> bool:
    """Return whether a network can be computed exactly in integers."""
    return not any(map(_find_obstacle, network))


def _find_obstacle(layer: nn.Module) -> str | None:
    """Return why a layer cannot be computed exactly in integers; None if it can."""
    if isinstance(layer, nn.ReLU):
        return None
    if not isinstance(layer, nn.Linear):
        return f"{type(layer).__name__} has no integer twin"
    width, largest = layer.in_features, layer.weight.abs().max()
    if largest > MAX_WEIGHT or width > MAX_WIDTH:
        return f"a layer of width {width} with weights up to {largest:g} has no integer twin"
    return None


def _as_layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear layer that shares a weight and a bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer
