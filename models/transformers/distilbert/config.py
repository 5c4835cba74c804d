"""Hyperparameters of DistilBERT."""

from dataclasses import dataclass
from typing import ClassVar

from models.text.encoder_config import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class DistilBertConfig(EncoderConfig):
    """Hyperparameters of DistilBERT: those of every bidirectional encoder, without token types and without a pooler."""

    known_heads: ClassVar[tuple[str, ...]] = ("masked", "sequence", "tokens", "span")
    has_token_types: ClassVar[bool] = False

    n_token_types: int = 0
