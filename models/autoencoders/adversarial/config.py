"""Hyperparameters of the adversarial autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(FamilyConfig):
    """Encoder and decoder have `hidden_widths` (the decoder mirrored), the discriminators `discriminator_widths`.

    With `labels` the latent has, beside its `latent_width` continuous elements, one for each class, and the encoder
    classifies.

    Raises:
        ConfigError: a width or a side of `input_shape` is not positive, or there is one label only.
    """

    input_shape: tuple[int, ...]
    hidden_widths: tuple[int, ...]
    latent_width: int
    discriminator_widths: tuple[int, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.require(bool(self.input_shape) and min(self.input_shape) > 0, "input_shape", "positive in every dimension")
        for name in ("hidden_widths", "discriminator_widths"):
            widths = getattr(self, name)
            self.require(bool(widths) and min(widths) > 0, name, "one or more, each positive")
        self.require(self.latent_width > 0, "latent_width", "positive")
        self.require(len(self.labels) != 1, "labels", "none, or two or more")
