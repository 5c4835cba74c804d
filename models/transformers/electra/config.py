"""Hyperparameters of ELECTRA."""

from dataclasses import dataclass
from typing import ClassVar

from models.text.encoder_config import EncoderConfig

REPLACED_LABELS = ("original", "replaced")
"""Classes of tokens for the head `replaced`."""


@dataclass(frozen=True, kw_only=True)
class ElectraConfig(EncoderConfig):
    """Hyperparameters of ELECTRA: those of every bidirectional encoder, without a pooler.

    Attributes:
        embedding_width: width of the embeddings, which are mapped to `width` before the first block if they differ.
        heads: some of `known_heads`. `replaced` tells tokens that a generator has replaced from original ones; its
            `labels` are `REPLACED_LABELS`.
    """

    known_heads: ClassVar[tuple[str, ...]] = ("masked", "replaced", "sequence", "tokens", "span")

    embedding_width: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.embedding_width > 0, "embedding_width", "positive")
        if "replaced" in self.heads:
            others = {"sequence", "tokens"} & set(self.heads)
            self.require(not others, "heads", "without classes of texts or tokens beside `replaced`")
            self.require(self.labels == REPLACED_LABELS, "labels", f"{REPLACED_LABELS} for the head `replaced`")
