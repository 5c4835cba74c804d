"""Hyperparameters of the convolutional autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class ConvolutionalConfig(FamilyConfig):
    """Each of `channels` halves the sides, with `n_blocks` residual blocks after it; the decoder mirrors that.

    `latent_channels` makes the latent spatial: that many channels of the smallest size. `latent_width` makes it a
    vector instead, through a hidden layer of `hidden_width`.

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
