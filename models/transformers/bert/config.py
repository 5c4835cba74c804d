"""Hyperparameters of BERT."""

from dataclasses import dataclass

from models.text.encoder_config import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class BertConfig(EncoderConfig):
    """Hyperparameters of BERT, which are those of every bidirectional encoder."""
