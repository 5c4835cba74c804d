"""Hyperparameters that all bidirectional encoders have."""

from dataclasses import dataclass

from models.family import FamilyConfig
from models.layers.activations import ACTIVATIONS
from models.layers.block import BlockShape
from models.text.label_activation import LABEL_ACTIVATIONS

HEADS = ("pooler", "masked", "pair", "sequence", "tokens", "span")
"""Heads that an encoder may have; `EncoderConfig` describes them."""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(FamilyConfig):
    """Hyperparameters of a bidirectional encoder.

    Attributes:
        n_positions: number of position embeddings.
        inner_width: width of the hidden layer of the feed-forward networks.
        norm_eps: constant that layer norms add to the variance.
        heads: some of `HEADS`. `pooler` makes a vector of a text's first token, which `pair`, whether two sentences
            belong together, and `sequence`, classes of texts, are computed from. `masked` predicts masked words,
            `tokens` classes of tokens, and `span` the first and last token of an answer.
        labels: names of the classes of `sequence` or `tokens`.
        label_activation: function that maps the logits of `sequence` to scores, one of `LABEL_ACTIVATIONS`.
        untied: whether the masked language head has a matrix of its own instead of the word embeddings.

    Raises:
        ConfigError: a value is out of range, or labels are given without a head for them, or the other way round.
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
    label_activation: str = "softmax"
    untied: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "n_token_types", "width", "n_layers", "n_heads", "inner_width"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.width % self.n_heads == 0, "n_heads", f"a divisor of the width, {self.width}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.norm_eps > 0, "norm_eps", "positive")
        self.require(set(self.heads) <= set(HEADS), "heads", f"some of {', '.join(HEADS)}")
        known = LABEL_ACTIVATIONS
        self.require(self.label_activation in known, "label_activation", f"one of {', '.join(known)}")
        has_classes = bool({"sequence", "tokens"} & set(self.heads))
        self.require(bool(self.labels) == has_classes, "labels", "there for heads with classes, and only for them")

    @property
    def block(self) -> BlockShape:
        """Shape of the blocks, which are normalised after each sum."""
        return BlockShape(
            width=self.width,
            n_heads=self.n_heads,
            inner_width=self.inner_width,
            activation=self.activation,
            norm_eps=self.norm_eps,
        )
