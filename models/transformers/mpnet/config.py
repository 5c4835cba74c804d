"""Hyperparameters of MPNet."""

from dataclasses import dataclass
from typing import ClassVar

from models.text.encoder_config import EncoderConfig

PADDING_ID = 1
"""Id of the padding token. All published MPNets count positions from the number after it, whatever they declare."""
N_BUCKETS, MAX_DISTANCE = 32, 128
"""Number of buckets of distances between tokens, and the distance from which on all share one, in all MPNets."""


@dataclass(frozen=True, kw_only=True)
class MpnetConfig(EncoderConfig):
    """Hyperparameters of MPNet: those of every bidirectional encoder, without token types.

    Positions are counted from `PADDING_ID` + 1 on, so that as many position embeddings have no use.
    """

    known_heads: ClassVar[tuple[str, ...]] = ("pooler", "masked", "sequence", "tokens", "span")
    has_token_types: ClassVar[bool] = False

    n_token_types: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        least = PADDING_ID + 2
        self.require(self.n_positions >= least, "n_positions", f"at least {least}, to leave positions for tokens")
