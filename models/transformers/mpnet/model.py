"""MPNet: the network of BERT, in which the distance between two tokens is added to what they attend to.

Shapes: `N` tokens of all texts, `D` width.
"""

from functools import cached_property

from torch import Tensor, nn
from typing_extensions import override

from models.layers.block import Block
from models.layers.embeddings import TextEmbeddings
from models.layers.relative_positions import RelativePositionBias
from models.ops.blocks import transformer_blocks
from models.ops.patterns import AttentionPattern, BiasableAttention
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.mpnet.config import MAX_DISTANCE, N_BUCKETS, PADDING_ID, MpnetConfig


class Mpnet(TextEncoder):
    """Embeddings of words and positions, then blocks, all with the same bias of distances between tokens.

    Source: Song et al. 2020, sections 2 and 3; Raffel et al. 2020, section 2.1, for the bias.
    """

    def __init__(self, config: MpnetConfig) -> None:
        super().__init__(config, embedding_width=config.width, masked_activation="gelu")
        first_position = PADDING_ID + 1
        self.n_positions = config.n_positions - first_position
        self.embeddings = TextEmbeddings(
            config.vocab_size,
            config.n_positions,
            config.n_token_types,
            config.width,
            config.norm_eps,
            first_position,
            PADDING_ID,
        )
        self.distance_bias = RelativePositionBias(N_BUCKETS, MAX_DISTANCE, config.n_heads)
        self.blocks = nn.ModuleList(Block(config.block) for _ in range(config.n_layers))

    @cached_property
    @override
    def encoder_graphs(self) -> None:
        """Return None, because the attention of CUDA graphs takes no bias."""

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        if not isinstance(attention, BiasableAttention):
            raise TypeError(f"{type(attention).__name__} takes no bias, without which MPNet would be another network")
        x: Tensor = self.embeddings(batch.token_ids, batch.type_ids, batch.segments)
        bias: Tensor = self.distance_bias(max(batch.segments.lengths))
        return transformer_blocks(self.blocks, x, attention.with_bias(bias))
