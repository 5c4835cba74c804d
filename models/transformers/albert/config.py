"""Hyperparameters of ALBERT."""

from dataclasses import dataclass

from models.family import MAX_LAYERS
from models.text.encoder_config import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class AlbertConfig(EncoderConfig):
    """Of every bidirectional encoder, and how its parameters are shared.

    Words are embedded in `embedding_width`. The `n_layers` steps are divided among `n_groups` groups of blocks, each of
    `blocks_per_group`, all of which a step runs.
    """

    embedding_width: int
    n_groups: int = 1
    blocks_per_group: int = 1
    activation: str = "gelu_new"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.embedding_width > 0, "embedding_width", "positive")
        self.require(1 <= self.n_groups <= self.n_layers, "n_groups", f"1 to n_layers, {self.n_layers}")
        self.require(self.blocks_per_group > 0, "blocks_per_group", "positive")

    def check_sizes(self) -> None:
        """See `FamilyConfig.check_sizes`."""
        super().check_sizes()
        most = MAX_LAYERS // self.n_groups
        self.require(self.blocks_per_group <= most, "blocks_per_group", f"at most {most} with {self.n_groups} groups")
