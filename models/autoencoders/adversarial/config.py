"""Hyperparameters of the adversarial autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(FamilyConfig):
    """The sizes of the layers.

    Attributes:
        input_shape: shape of an item, which is flattened.
        hidden_widths: widths of the encoder's hidden layers; the decoder has the same in reverse order.
        latent_width: number of continuous elements of the latent.
        discriminator_widths: widths of the hidden layers of each discriminator.
        labels: names of the classes. If there are any, the latent has a further element for each of them, and the
            encoder classifies.
        output: what the last layer of the decoder is followed by: `sigmoid`, for elements from 0 to 1, or nothing,
            `linear`.

    Raises:
        ConfigError: a width or a dimension of `input_shape` is not positive, there is only one label, or `output` is
            unknown.
    """

    input_shape: tuple[int, ...]
    hidden_widths: tuple[int, ...]
    latent_width: int
    discriminator_widths: tuple[int, ...]
    labels: tuple[str, ...] = ()
    output: str = "sigmoid"

    def __post_init__(self) -> None:
        self.require(bool(self.input_shape) and min(self.input_shape) > 0, "input_shape", "positive in every dimension")
        for name in ("hidden_widths", "discriminator_widths"):
            widths = getattr(self, name)
            self.require(bool(widths) and min(widths) > 0, name, "one or more, each positive")
        self.require(self.latent_width > 0, "latent_width", "positive")
        self.require(len(self.labels) != 1, "labels", "none, or two or more")
        self.require(self.output in ("sigmoid", "linear"), "output", "sigmoid or linear")
