"""Hyperparameters of the deep belief network."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class DeepBeliefConfig(FamilyConfig):
    """One restricted Boltzmann machine from each width to the next: `input_shape`'s, `hidden_widths`, `latent_width`.

    All units are binary, but for the latent's, which are gaussian. Sampling starts from one of `n_chains` stored states
    of the top machine. With `labels` there is a classifier besides: an encoder of its own, which starts as a copy of
    the trained one and is fine-tuned, and a linear layer on its latent.

    Raises:
        ConfigError: a width or a side of `input_shape` is not positive, or there is one label only.
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
