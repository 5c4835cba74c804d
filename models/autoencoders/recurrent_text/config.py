"""Hyperparameters of the recurrent autoencoder of texts."""

from dataclasses import dataclass

from models.family import FamilyConfig


@dataclass(frozen=True, kw_only=True)
class RecurrentTextConfig(FamilyConfig):
    """The sizes of the layers and of the texts.

    Attributes:
        vocab_size: number of token ids.
        max_tokens: maximum number of tokens of a text, its end token included.
        embedding_width: width of the embeddings of tokens, which also compute the logits.
        encoder_width: width of the recurrent encoder, in each of its two directions.
        decoder_width: width of the recurrent decoder.
        memory_width: number of elements of a position that the latent holds.
        latent_width: width of the latent.
        n_waves: number of sine and cosine waves by which both networks know the position.
        end_id: id of the token that ends a text.
        start_id: id of the token that the decoder reads first, which also pads batches.
        mask_id: id of the token that stands for an unknown word.

    Raises:
        ConfigError: a size is not positive, or a token is not one of the vocabulary.
    """

    vocab_size: int
    max_tokens: int
    embedding_width: int
    encoder_width: int
    decoder_width: int
    memory_width: int
    latent_width: int
    n_waves: int = 12
    end_id: int = 0
    start_id: int = 1
    mask_id: int = 2

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "embedding_width", "encoder_width", "decoder_width", "memory_width", "latent_width")
        for name in (*sizes, "n_waves"):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.max_tokens > 1, "max_tokens", "at least 2")
        for name in ("end_id", "start_id", "mask_id"):
            self.require(0 <= getattr(self, name) < self.vocab_size, name, f"0 to {self.vocab_size - 1}")
        self.require(self.end_id != self.start_id, "start_id", f"another than end_id, {self.end_id}")
