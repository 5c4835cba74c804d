"""Hyperparameters of the recurrent autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig

CELLS = ("lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(FamilyConfig):
    """The sizes of the layers and of the series.

    Attributes:
        cell: kind of the recurrent layers, `lstm` or `gru`.
        n_channels: number of channels of a series.
        length: number of steps of the series trained on, and of series made without a requested length.
        max_length: maximum number of steps of a series.
        hidden_width: width of the recurrent layers.
        n_layers: number of recurrent layers in the encoder and in the decoder.
        latent_width: width of the latent.
        n_waves: number of sine and cosine waves that tell the decoder the time.

    Raises:
        ConfigError: `cell` is unknown, a number is not positive, or `length` exceeds `max_length`.
    """

    cell: str
    n_channels: int
    length: int
    max_length: int
    hidden_width: int
    n_layers: int
    latent_width: int
    n_waves: int = 8

    def __post_init__(self) -> None:
        self.require(self.cell in CELLS, "cell", f"one of {', '.join(CELLS)}")
        for name in ("n_channels", "length", "hidden_width", "n_layers", "latent_width", "n_waves"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.max_length >= self.length, "max_length", f"at least length, {self.length}")
