"""Hyperparameters of the convolutional autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class ConvolutionalConfig(FamilyConfig):
    """The sizes of the layers. The latent is either a small image or a vector.

    Attributes:
        input_shape: channels, height and width of an item.
        channels: channels of the encoder's convolutions, each of which halves the height and the width; the decoder
            has the same in reverse order.
        n_blocks: number of residual blocks after each of these convolutions.
        latent_channels: number of channels of a latent that is an image, of the smallest height and width; else 0.
        latent_width: width of a latent that is a vector; else 0.
        hidden_width: width of the fully connected layer before and after a latent that is a vector; else 0.

    Raises:
        ConfigError: `input_shape` is not [channels, height, width], there are no channels, a number is not positive,
            an image is too small to be halved so often, or there is not exactly one kind of latent.
    """

    input_shape: tuple[int, ...]
    channels: tuple[int, ...]
    n_blocks: int = 0
    latent_channels: int = 0
    latent_width: int = 0
    hidden_width: int = 0

    def __post_init__(self) -> None:
        self.require(
            len(self.input_shape) == 3 and min(self.input_shape) > 0,
            "input_shape",
            "[channels, height, width], positive",
        )
        self.require(bool(self.channels) and min(self.channels) > 0, "channels", "one or more, each positive")
        self.require(
            2 ** (len(self.channels) - 1) < min(self.input_shape[1:]), "channels", "fewer, for an image this small"
        )
        self.require(self.n_blocks >= 0, "n_blocks", "0 or more")
        self.require(self.latent_channels >= 0, "latent_channels", "0 or more")
        self.require(
            (self.latent_width > 0) != (self.latent_channels > 0),
            "latent_width",
            "positive, or latent_channels instead",
        )
        self.require(
            (self.hidden_width > 0) == (self.latent_width > 0), "hidden_width", "positive with latent_width, else 0"
        )
