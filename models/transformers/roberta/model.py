"""RoBERTa: the network of BERT, with positions that begin after the number of the padding token.

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
from models.transformers.roberta.config import RobertaConfig


class Roberta(TextEncoder):
    """Embeddings of words, positions and token types, then blocks. Source: Liu et al. 2019, section 3.1."""

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
            config.padding_id,
        )
        self.blocks = nn.ModuleList(Block(config.block) for _ in range(config.n_layers))

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        x: Tensor = self.embeddings(batch.token_ids, batch.type_ids, batch.segments)
        return transformer_blocks(self.blocks, x, attention)
