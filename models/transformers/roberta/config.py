"""Hyperparameters of RoBERTa."""

from dataclasses import dataclass

from models.text.encoder_config import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class RobertaConfig(EncoderConfig):
    """Hyperparameters of RoBERTa: those of every bidirectional encoder, and the padding token's id.

    Positions are counted from `padding_id` + 1 on, so that as many position embeddings have no use.
    """

    padding_id: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        limit = f"0 to {self.n_positions - 2}, to leave positions for tokens"
        self.require(0 <= self.padding_id < self.n_positions - 1, "padding_id", limit)
