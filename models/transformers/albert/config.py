"""Hyperparameters of ALBERT."""

from dataclasses import dataclass

from typing_extensions import override

from models.family import MAX_LAYERS
from models.text.encoder_config import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class AlbertConfig(EncoderConfig):
    """Hyperparameters of ALBERT: those of every bidirectional encoder, and how layers share parameters.

    Attributes:
        embedding_width: width of the embeddings, which are mapped to `width` before the first block.
        n_groups: number of groups of blocks. Consecutive layers, `n_layers` in all, are divided evenly among them.
        blocks_per_group: number of blocks of a group, all of which run in each of its layers.
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

    @override
    def check_sizes(self) -> None:
        super().check_sizes()
        most = MAX_LAYERS // self.n_groups
        self.require(self.blocks_per_group <= most, "blocks_per_group", f"at most {most} with {self.n_groups} groups")
