"""ELECTRA: the network of BERT, trained to tell replaced tokens from original ones, and the one that replaces them.

Shapes: `N` tokens of all texts, `D` width.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers.block import Block
from models.layers.embeddings import TextEmbeddings
from models.layers.feedforward import FeedForward
from models.ops.blocks import transformer_blocks
from models.ops.patterns import AttentionPattern
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.electra.config import ElectraConfig


class Electra(TextEncoder):
    """Embeddings mapped to the width if theirs differs, then blocks. The heads make it a discriminator or a generator.

    Classes are made of gelu(W h + b) of a text's first token. Source: Clark et al. 2020, sections 2 and 3.1.

    Attributes:
        replaced_head: computes the logit of a token's having been replaced; None where the model was built without.
    """

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config, config.embedding_width, masked_activation="gelu", pooler_activation="gelu")
        self.embeddings = TextEmbeddings(
            config.vocab_size, config.n_positions, config.n_token_types, config.embedding_width, config.norm_eps
        )
        has_projection = config.embedding_width != config.width
        self.projection = nn.Linear(config.embedding_width, config.width) if has_projection else nn.Identity()
        self.blocks = nn.ModuleList(Block(config.block) for _ in range(config.n_layers))
        widths = config.width, config.width, 1
        self.replaced_head = FeedForward(widths, config.activation) if "replaced" in config.heads else None

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        x: Tensor = self.projection(self.embeddings(batch.token_ids, batch.type_ids, batch.segments))
        return transformer_blocks(self.blocks, x, attention)

    @override
    def token_logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the classes of tokens, `[N, n_labels]`, from their hidden states, `[N, D]`.

        For the head `replaced` these are 0 and the logit of a replacement, whose softmax is the sigmoid of that logit.

        Raises:
            NotImplementedError: the model was built without a head for tokens.
        """
        if self.replaced_head is None:
            return super().token_logits(hidden)
        replaced: Tensor = self.replaced_head(hidden)
        return torch.cat([torch.zeros_like(replaced), replaced], dim=-1)
