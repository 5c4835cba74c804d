"""Hyperparameters of BERT."""

from dataclasses import dataclass

from models.layers.encoder import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class BertConfig(EncoderConfig):
    """Those of every bidirectional encoder."""
