"""Hyperparameters of GPT-2."""

from dataclasses import dataclass

from models.family import FamilyConfig
from models.layers.activations import ACTIVATIONS
from models.layers.block import BlockShape
from models.text.label_activation import LABEL_ACTIVATIONS


@dataclass(frozen=True, kw_only=True)
class GptConfig(FamilyConfig):
    """Hyperparameters of a decoder.

    Attributes:
        vocab_size: number of tokens.
        n_positions: maximum number of tokens of a text.
        width: width of the hidden states.
        inner_width: width of the hidden layer of each feedforward network.
        activation: a name of `ACTIVATIONS`.
        norm_eps: epsilon of the layer norms.
        scaled: whether attention scores are divided by the square root of a head's width.
        scaled_by_layer: whether they are also divided by the number of the layer, from 1.
        untied: whether logits have a matrix of their own instead of the word embeddings.
        continues: whether the model continues texts.
        labels: names of the classes, if the model classifies texts instead of continuing them.
        label_activation: function that maps the logits of classes to scores, one of `LABEL_ACTIVATIONS`.
        padding_id: id of the token that the classified token never is; -1 if there is none.
    """

    vocab_size: int
    n_positions: int
    width: int
    n_layers: int
    n_heads: int
    inner_width: int
    activation: str = "gelu_new"
    norm_eps: float = 1e-5
    scaled: bool = True
    scaled_by_layer: bool = False
    untied: bool = False
    continues: bool = True
    labels: tuple[str, ...] = ()
    label_activation: str = "softmax"
    padding_id: int = -1

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "width", "n_layers", "n_heads", "inner_width"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.width % self.n_heads == 0, "n_heads", f"a divisor of the width, {self.width}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.norm_eps > 0, "norm_eps", "positive")
        known = LABEL_ACTIVATIONS
        self.require(self.label_activation in known, "label_activation", f"one of {', '.join(known)}")
        self.require(not (self.labels and self.continues), "labels", "empty for models that continue texts")

    def scale_of(self, layer: int) -> float:
        """Return the factor on the attention scores of a layer, from 0."""
        scale = (self.width // self.n_heads) ** -0.5 if self.scaled else 1.0
        return scale / (layer + 1) if self.scaled_by_layer else scale

    @property
    def block(self) -> BlockShape:
        """Return the shape of the blocks, which are normalised before each part."""
        return BlockShape(
            width=self.width,
            n_heads=self.n_heads,
            inner_width=self.inner_width,
            activation=self.activation,
            norm_eps=self.norm_eps,
            pre_norm=True,
        )
