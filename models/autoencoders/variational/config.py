"""Hyperparameters of the variational autoencoder."""

from dataclasses import dataclass

from models.family import FamilyConfig

LIKELIHOODS = ("bernoulli", "gaussian")


@dataclass(frozen=True, kw_only=True)
class VariationalConfig(FamilyConfig):
    """The sizes of the layers, and the distributions.

    Attributes:
        input_shape: shape of an item, which is flattened.
        hidden_widths: widths of the encoder's hidden layers; the decoder has the same in reverse order.
        latent_width: number of continuous elements of the latent.
        likelihood: distribution of an item given its latent: `bernoulli` for elements that are 0 or 1, or the
            probabilities of 1; `gaussian`, with one variance that is learned, for real elements.
        labels: names of the classes. If there are any, the model is conditional: the class is part of the latent, and
            a classifier infers it where it is not given.

    Raises:
        ConfigError: a width or a dimension of `input_shape` is not positive, `likelihood` is unknown, or there is only
            one label.
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
