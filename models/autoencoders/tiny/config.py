"""Hyperparameters of the tiny autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig

ACTIVATIONS = ("relu", "gelu", "silu", "swish", "mish")
"""Names of the activations that the library diffusers has."""
MAX_HALVINGS = 6
"""Most times that the encoder halves the sides of a picture."""


@dataclass(frozen=True, kw_only=True)
class TinyConfig(FamilyConfig):
    """The sizes of the layers.

    Attributes:
        n_channels: number of channels of a picture, 1 or 3.
        n_latent_channels: number of channels of a latent.
        encoder_width: number of channels inside the encoder.
        decoder_width: number of channels inside the decoder.
        n_encoder_blocks: number of residual blocks at each size of the encoder, the largest size first.
        n_decoder_blocks: number of residual blocks at each size of the decoder, the smallest size first.
        activation: the activation inside the blocks.
        scaling_factor: what diffusion models multiply latents by. The networks do not use it.
        shift_factor: what diffusion models subtract from latents before that.

    Raises:
        ConfigError: a number is out of range, the activation is unknown, or the networks do not have as many sizes as
            each other.
    """

    n_channels: int = 3
    n_latent_channels: int = 4
    encoder_width: int = 64
    decoder_width: int = 64
    n_encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    n_decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    activation: str = "relu"
    scaling_factor: float = 1.0
    shift_factor: float = 0.0

    def __post_init__(self) -> None:
        self.require(self.n_channels in (1, 3), "n_channels", "1 (grey) or 3 (RGB)")
        for name in ("n_latent_channels", "encoder_width", "decoder_width"):
            self.require(getattr(self, name) > 0, name, "positive")
        n_sizes = len(self.n_encoder_blocks)
        self.require(1 <= n_sizes <= MAX_HALVINGS + 1, "n_encoder_blocks", f"a list of 1 to {MAX_HALVINGS + 1} numbers")
        self.require(min(self.n_encoder_blocks) >= 0, "n_encoder_blocks", "0 or more each")
        self.require(
            len(self.n_decoder_blocks) == n_sizes,
            "n_decoder_blocks",
            f"a list of {n_sizes} numbers, as n_encoder_blocks is, so that pictures keep their size",
        )
        self.require(min(self.n_decoder_blocks) >= 0, "n_decoder_blocks", "0 or more each")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.scaling_factor != 0, "scaling_factor", "other than 0")

    @property
    def scale(self) -> int:
        """Number of pixels of a side for each row or column of a latent."""
        return int(2 ** (len(self.n_encoder_blocks) - 1))
