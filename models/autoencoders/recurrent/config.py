"""Hyperparameters of the recurrent autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig

CELLS = ("lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(FamilyConfig):
    """Encoder and decoder have `n_layers` layers of `hidden_width` cells; the latent has `latent_width` elements.

    `length` is that of the series trained on, and of those made where nothing else is asked; `max_length` is the
    longest accepted. The decoder tells the time by `n_waves` waves.

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
