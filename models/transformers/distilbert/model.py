"""DistilBERT: a BERT with half of the layers, trained to imitate a whole one.

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
from models.transformers.distilbert.config import DistilBertConfig


class DistilBert(TextEncoder):
    """Embeddings of words and positions, then blocks. Classes are made of max(W h + b, 0) of a text's first token.

    Source: Sanh et al. 2019, section 3.
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config, config.width, masked_activation=config.activation, pooler_activation="relu")
        self.embeddings = TextEmbeddings(
            config.vocab_size, config.n_positions, config.n_token_types, config.width, config.norm_eps
        )
        self.blocks = nn.ModuleList(Block(config.block) for _ in range(config.n_layers))

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        x: Tensor = self.embeddings(batch.token_ids, batch.type_ids, batch.segments)
        return transformer_blocks(self.blocks, x, attention)
