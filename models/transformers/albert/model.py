"""ALBERT: a lite BERT, with narrow embeddings, and blocks that layers share.

Shapes: `N` tokens of all texts, `D` width.
"""

from torch import Tensor, nn
from typing_extensions import override

from models.layers.block import Block
from models.layers.embeddings import TextEmbeddings
from models.ops.blocks import transformer_blocks
from models.ops.patterns import AttentionPattern
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.albert.config import AlbertConfig


class Albert(TextEncoder):
    """Narrow embeddings mapped to the width, then groups of blocks, each group several times.

    Source: Lan et al. 2020, section 3.1.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, embedding_width=config.embedding_width, masked_activation=config.activation)
        self.embeddings = TextEmbeddings(
            config.vocab_size, config.n_positions, config.n_token_types, config.embedding_width, config.norm_eps
        )
        self.widening = nn.Linear(config.embedding_width, config.width)
        self.groups = nn.ModuleList(
            nn.ModuleList(Block(config.block) for _ in range(config.blocks_per_group)) for _ in range(config.n_groups)
        )
        self.group_of_layer = [int(layer / (config.n_layers / config.n_groups)) for layer in range(config.n_layers)]

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        x: Tensor = self.widening(self.embeddings(batch.token_ids, batch.type_ids, batch.segments))
        blocks = [block for group in self.group_of_layer for block in self.groups[group]]  # type: ignore[attr-defined]
        return transformer_blocks(blocks, x, attention)
