"""The vanilla Transformer: an encoder reads a text, and a decoder writes another.

Shapes: `N` tokens of all texts, `D` width, `V` target vocabulary.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.generation.encoder_decoder import EncoderDecoder
from models.generation.generation_rules import GenerationRules
from models.layers.block import Block, BlockShape
from models.ops.blocks import transformer_blocks
from models.ops.patterns import AttentionPattern, CrossAttentionPattern
from models.text.ragged_batch import RaggedBatch
from models.transformers.vanilla.config import VanillaTransformerConfig


class TransformerStack(nn.Module):
    """Word and position embeddings, then blocks: the encoder or, with cross-attention, the decoder.

    With norms first, there is a last norm. Source: Vaswani et al. 2017, section 3.
    """

    def __init__(
        self,
        config: VanillaTransformerConfig,
        vocab_size: int,
        n_layers: int,
        shape: BlockShape,
        *,
        has_cross_attention: bool,
    ) -> None:
        super().__init__()
        self.scale = math.sqrt(config.width) if config.scaled_words else 1.0
        self.words = nn.Embedding(vocab_size, config.width)
        self.positions = nn.Embedding(config.n_positions, config.width)
        self.dropout = nn.Dropout(0.0)  # training sets the probability
        self.blocks = nn.ModuleList(Block(shape, has_cross_attention=has_cross_attention) for _ in range(n_layers))
        self.norm = nn.LayerNorm(config.width, config.norm_eps) if config.norm_first else nn.Identity()

    def forward(
        self,
        token_ids: Tensor,
        positions: Tensor,
        attention: AttentionPattern,
        cross_attention: CrossAttentionPattern | None = None,
    ) -> Tensor:
        """Return the last hidden states, `[N, D]`, of token ids and their positions, two of `[N]`."""
        x = self.dropout(self.words(token_ids) * self.scale + self.positions(positions))
        normalised: Tensor = self.norm(transformer_blocks(self.blocks, x, attention, cross_attention))
        return normalised


class VanillaTransformer(EncoderDecoder):
    """An encoder and a decoder, and logits by word embeddings or by a matrix. Source: Vaswani et al. 2017, figure 1."""

    decoder: TransformerStack

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__()
        self.config, self.start_id = config, config.start_id
        self.vocab_size, self.output_vocab_size = config.vocab_size, config.target_vocab_size
        self.n_positions, self.generates = config.n_positions, config.translates
        shape = config.block(config.n_encoder_heads, config.encoder_inner_width)
        self.encoder = TransformerStack(
            config, config.vocab_size, config.n_encoder_layers, shape, has_cross_attention=False
        )
        shape = config.block(config.n_decoder_heads, config.decoder_inner_width)
        self.decoder = TransformerStack(
            config, config.target_vocab_size, config.n_decoder_layers, shape, has_cross_attention=True
        )
        self.tie()
        self.output = nn.Linear(config.width, config.target_vocab_size, bias=False) if config.untied else None
        self.bias = nn.Parameter(torch.zeros(1, config.target_vocab_size)) if config.translates else None
        self.generation_rules = GenerationRules(
            end_ids=config.end_ids,
            suppressed_ids=config.suppressed_ids,
            bad_words=config.bad_words_ids,
            forced_end_ids=config.forced_end_ids,
        )

    @override
    def tie(self) -> None:
        if self.config.shared:
            self.decoder.words = self.encoder.words

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        return cast("Tensor", self.encoder(batch.token_ids, batch.segments.positions, attention))

    @override
    def logits(self, hidden: Tensor) -> Tensor:
        embeddings = self.decoder.words.weight
        logits: Tensor = self.tied_logits(hidden, embeddings) if self.output is None else self.output(hidden)
        return logits if self.bias is None else logits + self.bias

    @override
    def tied_embeddings(self) -> Tensor | None:
        return self.decoder.words.weight if self.output is None else None

    @override
    def keys_values(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [block.cross_attention.keys_values(memory) for block in self.decoder.blocks]  # type: ignore[union-attr,operator]
