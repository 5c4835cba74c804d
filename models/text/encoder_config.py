"""Hyperparameters that all bidirectional encoders have."""

from dataclasses import dataclass
from typing import ClassVar

from models.family import FamilyConfig
from models.layers.activations import ACTIVATIONS
from models.layers.block import BlockShape
from models.text.label_activation import LABEL_ACTIVATIONS

HEADS = ("pooler", "masked", "pair", "sequence", "tokens", "span")
"""Heads that most encoders may have; `EncoderConfig` describes them."""
HEADS_WITH_LABELS = frozenset({"sequence", "tokens", "replaced"})
"""Heads that compute classes; the last one is of ELECTRA alone, and tells replaced tokens from original ones."""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(FamilyConfig):
    """Hyperparameters of a bidirectional encoder.

    Attributes:
        known_heads: the heads that models of the family may have.
        has_token_types: whether the family tells the first text of a pair from the second by an embedding.
        n_positions: number of position embeddings.
        n_token_types: number of embeddings of types of tokens; 0 if the family has none.
        inner_width: width of the hidden layer of the feed-forward networks.
        norm_eps: constant that layer norms add to the variance.
        heads: some of `known_heads`. `pooler` makes a vector of a text's first token, which `pair`, whether two
            sentences belong together, and `sequence`, classes of texts, are computed from. `masked` predicts masked
            words, `tokens` classes of tokens, and `span` the first and last token of an answer.
        labels: names of the classes of the head that is one of `HEADS_WITH_LABELS`.
        label_activation: function that maps the logits of `sequence` to scores, one of `LABEL_ACTIVATIONS`.
        untied: whether the masked language head has a matrix of its own instead of the word embeddings.

    Raises:
        ConfigError: a value is out of range, or labels are given without a head for them, or the other way round.
    """

    known_heads: ClassVar[tuple[str, ...]] = HEADS
    has_token_types: ClassVar[bool] = True

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
        for name in ("vocab_size", "n_positions", "width", "n_layers", "n_heads", "inner_width"):
            self.require(getattr(self, name) > 0, name, "positive")
        if self.has_token_types:
            self.require(self.n_token_types > 0, "n_token_types", "positive")
        else:
            self.require(self.n_token_types == 0, "n_token_types", "0")
        self.require(self.width % self.n_heads == 0, "n_heads", f"a divisor of the width, {self.width}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.norm_eps > 0, "norm_eps", "positive")
        self.require(set(self.heads) <= set(self.known_heads), "heads", f"some of {', '.join(self.known_heads)}")
        known = LABEL_ACTIVATIONS
        self.require(self.label_activation in known, "label_activation", f"one of {', '.join(known)}")
        has_classes = bool(HEADS_WITH_LABELS & set(self.heads))
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
