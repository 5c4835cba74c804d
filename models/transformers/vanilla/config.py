"""Hyperparameters of the encoder-decoder."""

from dataclasses import dataclass

from models.family import FamilyConfig
from models.layers.activations import ACTIVATIONS
from models.layers.block import BlockShape

POSITIONS = ("sinusoidal", "learned")


@dataclass(frozen=True, kw_only=True)
class VanillaTransformerConfig(FamilyConfig):
    """Hyperparameters of an encoder and a decoder of the same width.

    Attributes:
        vocab_size: number of tokens of source texts; `target_vocab_size` is that of target texts.
        n_positions: maximum number of tokens of a text.
        width: width of the hidden states.
        start_id: the token with which the decoder begins every text.
        end_ids: the tokens that end a text.
        activation: a name of `ACTIVATIONS`.
        norm_eps: epsilon of the layer norms.
        positions: one of `POSITIONS`.
        norm_first: whether norms stand before each part of a block, with a last one on each side, or after it.
        scaled_words: whether word embeddings are multiplied by the square root of the width.
        shared: whether both sides have the same word embeddings.
        untied: whether logits have a matrix of their own instead of the decoder's word embeddings.
        translates: whether the model has logits, and writes texts.
        suppressed_ids: tokens that are never generated.
        bad_words_ids: sequences of two tokens or more that are never generated.
        forced_end_ids: the tokens of which one ends a text of the maximum length; empty if any token may.
    """

    vocab_size: int
    target_vocab_size: int
    n_positions: int
    width: int
    n_encoder_layers: int
    n_decoder_layers: int
    n_encoder_heads: int
    n_decoder_heads: int
    encoder_inner_width: int
    decoder_inner_width: int
    start_id: int
    end_ids: tuple[int, ...]
    activation: str = "relu"
    norm_eps: float = 1e-5
    positions: str = "sinusoidal"
    norm_first: bool = False
    scaled_words: bool = True
    shared: bool = True
    untied: bool = False
    translates: bool = True
    suppressed_ids: tuple[int, ...] = ()
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    forced_end_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sizes = [name for name, kind in self.__annotations__.items() if kind is int and not name.endswith("_id")]
        for name in sizes:
            self.require(getattr(self, name) > 0, name, "positive")
        for name in ("n_encoder_heads", "n_decoder_heads"):
            self.require(self.width % getattr(self, name) == 0, name, f"a divisor of the width, {self.width}")
        self.require(self.activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}")
        self.require(self.positions in POSITIONS, "positions", f"one of {', '.join(POSITIONS)}")
        self.require(self.norm_eps > 0, "norm_eps", "positive")
        same = self.vocab_size == self.target_vocab_size
        self.require(same or not self.shared, "shared", "false where the vocabularies differ in size")
        self.require(not (self.shared and self.untied), "untied", "false where embeddings are shared")
        last = self.target_vocab_size - 1
        self.require(0 <= self.start_id <= last, "start_id", f"0 to {last}")
        for name in ("end_ids", "suppressed_ids", "forced_end_ids"):
            self.require(all(0 <= token_id <= last for token_id in getattr(self, name)), name, f"of 0 to {last}")
        for word in self.bad_words_ids:
            is_known = all(0 <= token_id <= last for token_id in word)
            self.require(is_known and len(word) > 1, "bad_words_ids", f"of two tokens or more of 0 to {last}")

    def block(self, n_heads: int, inner_width: int) -> BlockShape:
        """Return the shape of the encoder's or the decoder's blocks, which differ in these sizes."""
        return BlockShape(
            width=self.width,
            n_heads=n_heads,
            inner_width=inner_width,
            activation=self.activation,
            norm_eps=self.norm_eps,
            pre_norm=self.norm_first,
        )
