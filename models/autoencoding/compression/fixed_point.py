"""Networks of linear layers and rectifiers in integers, so that every machine computes the same numbers.

Integers are held in float64 and stay below 2**53 in magnitude. Sums of them are exact whatever the order, so a product
of matrices depends neither on the processor nor on how many rows it has.

Source: Balle, Johnston, Minnen 2019, Integer Networks for Data Compression with Latent-Variable Models.
"""

from torch import Tensor, nn

from models.autoencoding.compression.entropy import FRACTION
from models.errors import CheckpointError

_ONE = float(2**FRACTION)


_MAX_WEIGHT, _MAX_ACTIVATION, _MAX_WIDTH = 2.0**4, 2.0**10, 2**13
"""Their product, with `FRACTION` bits for each of the first two, is 2**51."""


class FixedPointNetwork:
    """The integer twin of a sequence of linear layers and rectifiers. Numbers have `FRACTION` bits after the point."""

    def __init__(self, network: nn.Sequential) -> None:
        """Round the weights.

        Raises:
            CheckpointError: a weight or a layer is too large to be computed exactly.
        """
        self._steps: list[tuple[Tensor, Tensor] | None] = []
        for layer in network:
            if isinstance(layer, nn.ReLU):
                self._steps.append(None)
                continue
            if not isinstance(layer, nn.Linear):
                raise CheckpointError(f"{type(layer).__name__} has no integer twin")
            weight, bias = layer.weight.detach().cpu().double(), layer.bias.detach().cpu().double()
            if weight.abs().max() > _MAX_WEIGHT or weight.shape[1] > _MAX_WIDTH:
                raise CheckpointError(
                    f"a layer of width {weight.shape[1]} with weights up to {weight.abs().max():g} has no integer twin"
                )
            self._steps.append(((weight * _ONE).round().T, (bias * _ONE * _ONE).round()))

    def __call__(self, values: Tensor) -> Tensor:
        """Integers `[B, d_in]` in float64 to integers `[B, d_out]`."""
        for step in self._steps:
            if step is None:
                values = values.clamp(min=0)
            else:
                weight, bias = step
                values = ((values @ weight + bias) / _ONE).floor()
                values = values.clamp(-_MAX_ACTIVATION * _ONE, _MAX_ACTIVATION * _ONE)
        return values
