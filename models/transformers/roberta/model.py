"""A robustly optimised BERT: the same network, with no use for token types, and positions that start later.

Shapes: `N` tokens of all texts, `D` width.
"""

from torch import Tensor, nn

from models.layers.block import Block
from models.layers.embeddings import TextEmbeddings
from models.ops.blocks import transformer_blocks
from models.ops.patterns import AttentionPattern
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.roberta.config import RobertaConfig


class Roberta(TextEncoder):
    """Source: Liu et al. 2019, section 3.1. Positions begin after the number of the padding token."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config, embedding_width=config.width, masked_activation="gelu")
        first_position = config.padding_id + 1
        self.n_positions = config.n_positions - first_position
        self.embeddings = TextEmbeddings(
            config.vocab_size,
            config.n_positions,
            config.n_token_types,
            config.width,
            config.norm_eps,
            first_position,
        )
        self.blocks = nn.ModuleList(Block(config.block) for _ in range(config.n_layers))

    def word_matrix(self) -> Tensor:
        """See `TextEncoder.word_matrix`."""
        return self.embeddings.words.weight

    def hidden(self, packed: RaggedBatch, attend: AttentionPattern) -> Tensor:
        """See `TextModel.hidden`."""
        x: Tensor = self.embeddings(packed.token_ids, packed.type_ids, packed.segments)
        return transformer_blocks(self.blocks, x, attend)
