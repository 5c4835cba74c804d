"""Hyperparameters of the variational autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig

LIKELIHOODS = ("bernoulli", "gaussian")


@dataclass(frozen=True, kw_only=True)
class VariationalConfig(FamilyConfig):
    """The encoder goes from the flattened item through `hidden_widths` to the posterior; the decoder mirrors it.

    `likelihood` is that of an item given its latent: `bernoulli` for items that are 0 or 1 (or probabilities of 1),
    `gaussian`, with one learned variance, for real ones. With `labels`, the model is conditional: a class is part of
    the latent, and a classifier infers it where it is not given.

    Raises:
        ConfigError: a width or a side of `input_shape` is not positive, or `likelihood` is unknown, or there is one
            label only.
    """

    input_shape: tuple[int, ...]
    hidden_widths: tuple[int, ...]
    latent_width: int
    likelihood: str = "bernoulli"
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.require(bool(self.input_shape) and min(self.input_shape) > 0, "input_shape", "positive in every dimension")
        self.require(bool(self.hidden_widths), "hidden_widths", "one or more")
        self.require(all(width > 0 for width in self.hidden_widths), "hidden_widths", "positive, each of them")
        self.require(self.latent_width > 0, "latent_width", "positive")
        self.require(self.likelihood in LIKELIHOODS, "likelihood", f"one of {', '.join(LIKELIHOODS)}")
        self.require(len(self.labels) != 1, "labels", "none, or two or more")
