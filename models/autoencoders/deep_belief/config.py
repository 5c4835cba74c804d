"""Hyperparameters of the deep belief network."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class DeepBeliefConfig(FamilyConfig):
    """The sizes of the layers. There is a restricted Boltzmann machine between each layer and the next.

    All units are binary except those of the latent, which are Gaussian.

    Attributes:
        input_shape: shape of an item, which is flattened.
        hidden_widths: widths of the layers between the item and the latent.
        latent_width: width of the latent.
        n_chains: number of stored states of the top machine, from one of which Gibbs sampling starts.
        labels: names of the classes. If there are any, the model has a classifier too: a copy of the trained encoder,
            which is fine-tuned, and a linear layer.

    Raises:
        ConfigError: a width or a dimension of `input_shape` is not positive, or there is only one label.
    """

    input_shape: tuple[int, ...]
    hidden_widths: tuple[int, ...]
    latent_width: int
    n_chains: int = 100
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.require(bool(self.input_shape) and min(self.input_shape) > 0, "input_shape", "positive in every dimension")
        self.require(bool(self.hidden_widths), "hidden_widths", "one or more")
        self.require(all(width > 0 for width in self.hidden_widths), "hidden_widths", "positive, each of them")
        self.require(self.latent_width > 0, "latent_width", "positive")
        self.require(self.n_chains > 0, "n_chains", "positive")
        self.require(len(self.labels) != 1, "labels", "none, or two or more")
