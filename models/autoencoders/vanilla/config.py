"""Hyperparameters of the vanilla autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig
from models.layers.activations import ACTIVATIONS


@dataclass(frozen=True, kw_only=True)
class VanillaConfig(FamilyConfig):
    """The sizes of the layers.

    Attributes:
        input_shape: shape of an item, which is flattened.
        hidden_widths: widths of the encoder's hidden layers; the decoder has the same in reverse order.
        latent_width: width of the latent.
        activation: function between the layers.
        output: what the last layer of the decoder is followed by: `sigmoid`, for elements from 0 to 1, or nothing,
            `linear`.

    Raises:
        ConfigError: a width or a dimension of `input_shape` is not positive, or `activation` or `output` is unknown.
    """

    input_shape: tuple[int, ...]
    hidden_widths: tuple[int, ...]
    latent_width: int
    activation: str = "gelu"
    output: str = "sigmoid"

    def __post_init__(self) -> None:
        self.require(bool(self.input_shape) and min(self.input_shape) > 0, "input_shape", "positive in every dimension")
        self.require(all(width > 0 for width in self.hidden_widths), "hidden_widths", "positive, each of them")
        self.require(self.latent_width > 0, "latent_width", "positive")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.output in ("sigmoid", "linear"), "output", "sigmoid or linear")
