"""Placeholder: to be described."""

from dataclasses import dataclass

from models.family import FamilyConfig
from models.layers.block import BlockShape
from models.layers.feedforward import ACTIVATIONS

HEADS = ("pooler", "masked", "pair", "sequence", "tokens", "span")


PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(FamilyConfig):
    """Hyperparameters of a bidirectional encoder.

    `heads`, of `HEADS`: the pooler alone; masked words; whether two sentences belong together; classes of texts, of
    tokens; the span of an answer. `untied`: the masked-word head has a matrix of its own.
    """

    vocab_size: int
    n_positions: int
    n_token_types: int
    width: int
    n_layers: int
    n_heads: int
    inner_width: int
    activation: str = "gelu"
    norm_eps: float = 1e-12
    heads: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    problem: str = PROBLEMS[0]
    untied: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "n_token_types", "width", "n_layers", "n_heads", "inner_width"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.width % self.n_heads == 0, "n_heads", f"a divisor of the width, {self.width}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.norm_eps > 0, "norm_eps", "positive")
        self.require(set(self.heads) <= set(HEADS), "heads", f"some of {', '.join(HEADS)}")
        self.require(self.problem in PROBLEMS, "problem", f"one of {', '.join(PROBLEMS)}")
        is_labelled = {"sequence", "tokens"} & set(self.heads)
        self.require(
            bool(self.labels) == bool(is_labelled), "labels", "there for heads with classes, and only for them"
        )

    @property
    def block(self) -> BlockShape:
        """The shape of the blocks, normalised after each sum."""
        return BlockShape(
            width=self.width,
            n_heads=self.n_heads,
            inner_width=self.inner_width,
            activation=self.activation,
            norm_eps=self.norm_eps,
        )
