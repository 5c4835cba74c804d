"""Hyperparameters of the autoencoder of latent diffusion models."""

from dataclasses import dataclass

from models.family import FamilyConfig

ACTIVATIONS = ("silu", "swish", "mish", "gelu", "relu")
"""Names of the activations that the library diffusers has."""
MAX_SIZES = 7
"""Most sizes of the maps, each half of the one before."""


@dataclass(frozen=True, kw_only=True)
class KlConfig(FamilyConfig):
    """The sizes of the layers.

    Attributes:
        n_channels: number of channels of a picture, 1 or 3.
        n_latent_channels: number of channels of a latent.
        widths: number of channels of the maps at each size, the largest size first.
        n_layers: number of residual blocks of the encoder at each size; the decoder has one more.
        n_groups: number of groups of channels that are normalised together.
        activation: the activation inside the blocks.
        has_attention: whether the maps of the smallest size attend to each other.
        has_quant_conv: whether the encoder ends with a convolution of single positions.
        has_post_quant_conv: whether the decoder begins with a convolution of single positions.
        scaling_factor: what diffusion models multiply latents by. The networks do not use it.
        shift_factor: what diffusion models subtract from latents before that.
        latents_mean: means of the channels of latents, for diffusion models that normalise by them; else empty.
        latents_std: standard deviations of the channels, likewise.
        force_upcast: whether the networks overflow in float16, so that they are computed in float32 instead.

    Raises:
        ConfigError: a number is out of range, the activation is unknown, or the groups do not divide a width.
    """

    n_channels: int = 3
    n_latent_channels: int = 4
    widths: tuple[int, ...] = (64,)
    n_layers: int = 1
    n_groups: int = 32
    activation: str = "silu"
    has_attention: bool = True
    has_quant_conv: bool = True
    has_post_quant_conv: bool = True
    scaling_factor: float = 0.18215
    shift_factor: float = 0.0
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()
    force_upcast: bool = True

    def __post_init__(self) -> None:
        self.require(self.n_channels in (1, 3), "n_channels", "1 (grey) or 3 (RGB)")
        for name in ("n_latent_channels", "n_layers", "n_groups"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(1 <= len(self.widths) <= MAX_SIZES, "widths", f"a list of 1 to {MAX_SIZES} numbers")
        is_divided = all(width > 0 and width % self.n_groups == 0 for width in self.widths)
        self.require(is_divided, "widths", f"positive multiples of the number of groups, {self.n_groups}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.scaling_factor != 0, "scaling_factor", "other than 0")
        for name in ("latents_mean", "latents_std"):
            n_numbers = len(getattr(self, name))
            self.require(n_numbers in (0, self.n_latent_channels), name, f"{self.n_latent_channels} numbers, or none")

    @property
    def scale(self) -> int:
        """Number of pixels of a side for each row or column of a latent."""
        return int(2 ** (len(self.widths) - 1))
