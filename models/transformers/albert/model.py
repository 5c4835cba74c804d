"""A lite BERT: embeddings factorised, blocks shared among the layers.

Shapes: `N` tokens of all texts, `D` width.
"""

from torch import Tensor, nn

from models.layers.attention import Attending
from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from models.layers.transformer import Block, TextEmbeddings, through
from models.transformers.albert.config import AlbertConfig


class Albert(TextEncoder):
    """Narrow embeddings mapped to the width, then groups of blocks, again and again. Source: Lan et al. 2020, 3.1."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, embedding_width=config.embedding_width, masked_activation=config.activation)
        self.embeddings = TextEmbeddings(
            config.vocab_size, config.n_positions, config.n_token_types, config.embedding_width, config.norm_eps
        )
        self.widening = nn.Linear(config.embedding_width, config.width)
        self.groups = nn.ModuleList(
            nn.ModuleList(Block(config.block) for _ in range(config.blocks_per_group)) for _ in range(config.n_groups)
        )
        self.group_of_step = [int(step / (config.n_layers / config.n_groups)) for step in range(config.n_layers)]

    def word_matrix(self) -> Tensor:
        """See `TextEncoder.word_matrix`."""
        return self.embeddings.words.weight

    def hidden(self, packed: Packed, attend: Attending) -> Tensor:
        """See `TextModel.hidden`."""
        x: Tensor = self.widening(self.embeddings(packed))
        blocks = [block for group in self.group_of_step for block in self.groups[group]]  # type: ignore[attr-defined]
        return through(blocks, x, attend)
