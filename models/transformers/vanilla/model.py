"""The Transformer as it first was: an encoder reads a text, a decoder writes another.

Shapes: `N` tokens of all texts, `B` texts, `D` width, `V` target vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from models.generation.cached_attention import CachedContext, DecodeAttention, PrefillAttention
from models.generation.decoder_graphs import stepped
from models.generation.generator import Generator
from models.generation.kv_cache import CacheShape, KeyValueCache
from models.generation.sampling import GenerationRules
from models.generation.scores import TokenScores
from models.layers.block import Block, BlockShape
from models.ops.blocks import transformer_blocks
from models.ops.patterns import AttentionPattern, CrossAttentionPattern
from models.ops.segments import Segments
from models.tasks.text import AttendRequest, AttendResult, GenerateRequest, GenerateResult, Tokens
from models.text.attention_patterns import RecordedAttention, RecordedCrossAttention
from models.text.attention_weights import selected_weights
from models.text.ragged_batch import RaggedBatch
from models.text.tokens import tokens_of_ids
from models.transformers.vanilla.config import VanillaTransformerConfig


class Side(nn.Module):
    """Words and positions, then blocks; with norms first, a last norm. Source: Vaswani et al. 2017, section 3."""

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
        """Two of `[N]` to `[N, D]`."""
        x = self.dropout(self.words(token_ids) * self.scale + self.positions(positions))
        normalised: Tensor = self.norm(transformer_blocks(self.blocks, x, attention, cross_attention))
        return normalised


@dataclass(frozen=True)
class TwoCaches:
    """What the decoder remembers: its own row, and the text it reads."""

    own: KeyValueCache
    read: KeyValueCache

    def __len__(self) -> int:
        return len(self.own)

    @property
    def lengths(self) -> list[int]:
        """Of the decoder's rows."""
        return self.own.lengths

    def take_back(self) -> None:
        """See `KeyValueCache.take_back`; what is read stays."""
        self.own.take_back()

    def arrange(self, sources: Sequence[int]) -> None:
        """See `KeyValueCache.arrange`."""
        self.own.arrange(sources)
        self.read.arrange(sources)

    def adopt(self, other: Self, rows: Sequence[int]) -> None:
        """See `KeyValueCache.adopt`."""
        self.own.adopt(other.own, rows)
        self.read.adopt(other.read, rows)


class VanillaTransformer(Generator):
    """Source: Vaswani et al. 2017. `/encode` and the like are of the encoder alone."""

    def __init__(self, config: VanillaTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.vocab_size, self.n_positions = config.vocab_size, config.n_positions
        self.encoder = Side(
            config, config.vocab_size, config.n_encoder_layers, config.encoder_block, has_cross_attention=False
        )
        self.decoder = Side(
            config, config.target_vocab_size, config.n_decoder_layers, config.decoder_block, has_cross_attention=True
        )
        self.tie()
        self.output = nn.Linear(config.width, config.target_vocab_size, bias=False) if config.untied else None
        self.bias = nn.Parameter(torch.zeros(1, config.target_vocab_size)) if config.translates else None
        self.rules = GenerationRules(
            ends=config.end_ids, suppressed=config.suppressed_ids, forced_end=next(iter(config.forced_end_ids), None)
        )

    def tie(self) -> None:
        """See `Model.tie`."""
        if self.config.shared:
            self.decoder.words = self.encoder.words

    def hidden(self, packed: RaggedBatch, attend: AttentionPattern) -> Tensor:
        """See `TextModel.hidden`; of the encoder."""
        states: Tensor = self.encoder(packed.token_ids, packed.segments.positions, attend)
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the decoder's states: `[N, D]` to `[N, V]`."""
        words = self.decoder.words.weight
        logits: Tensor = self.scored(hidden, words) if self.output is None else self.output(hidden)
        return logits if self.bias is None else logits + self.bias

    def shared_words(self) -> Tensor | None:
        """See `Generator.shared_words`."""
        return self.decoder.words.weight if self.output is None else None

    def translate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """The same as `generate`: what this model makes of a text is its translation."""
        return self.generate(requests)

    def attend(self, requests: Sequence[AttendRequest]) -> list[AttendResult]:
        """What each token sees: of the text, of its translation, and from the one to the other."""
        return [self._attention(request) for request in requests]

    def new_cache(self) -> TwoCaches:
        """See `Generator.new_cache`."""
        weight, n_heads = self.decoder.words.weight, self.config.n_decoder_heads
        shape = CacheShape(
            n_layers=self.config.n_decoder_layers,
            n_heads=n_heads,
            head_width=self.config.width // n_heads,
            dtype=weight.dtype,
            device=weight.device,
        )
        return TwoCaches(KeyValueCache(shape), KeyValueCache(shape))

    def prefill(self, parts: Sequence[Tensor], cache: TwoCaches) -> Tensor:
        """See `Generator.prefill`: read the texts, and give the decoder its start. The cache has no rows yet."""
        segments = Segments([len(part) for part in parts], self.device)
        token_ids = torch.cat(list(parts))
        memory = self.passed(RaggedBatch(token_ids, torch.zeros_like(token_ids), segments, range(len(parts))))
        cache.read.add(segments.lengths)
        for layer, (k, v) in enumerate(self.keys_values(memory)):
            cache.read.write(layer, k, v, (segments.owners, segments.positions))
        starts = Segments([1] * len(parts), self.device)
        start_ids = torch.full((len(parts),), self.config.start_id, device=self.device)
        attend, recall = PrefillAttention(cache.own, starts), CachedContext(cache.read)
        return self.logits(self.decoder(start_ids, starts.positions, attend, recall))

    def decode(self, token_ids: Tensor, cache: TwoCaches) -> TokenScores:
        """See `Generator.decode`."""
        cache.own.extend([1] * len(cache))
        return stepped(self._step, token_ids, cache.own, cache.read)

    def _step(self, token_ids: Tensor, own: CachedContext, read: CachedContext) -> Tensor:
        return self.logits(self.decoder(token_ids, own.last, DecodeAttention(own), read))

    def opening(self, tokens: Tokens) -> list[int]:
        """See `Generator.opening`."""
        return [self.config.start_id]

    def room(self, tokens: Tokens) -> int:
        """See `Generator.room`; the decoder's row has the start token before it."""
        return self.n_positions - 1

    def cut(self, tokens: Tokens, n_new: int) -> Tokens:
        """See `Generator.cut`; the beginning is kept, and the token that ends it."""
        if len(tokens) <= self.n_positions:
            return tokens
        return tokens_of_ids([*tokens.ids[: self.n_positions - 1].tolist(), int(tokens.ids[-1])])

    def keys_values(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each layer of the decoder reads of the encoder's states `[N, D]`."""
        return [block.cross_attention.keys_values(memory) for block in self.decoder.blocks]  # type: ignore[union-attr,operator]

    def _attention(self, request: AttendRequest) -> AttendResult:
        packed = self.pack([request.tokens])
        of_text = RecordedAttention(packed.segments)
        (memory,) = packed.by_text(self.hidden(packed, of_text))
        target_ids = self._target(request)
        segments = Segments([len(target_ids)], self.device)
        of_target = RecordedAttention(segments, causal=True)
        across = RecordedCrossAttention(self.keys_values(memory))
        self.decoder(target_ids.to(self.device), segments.positions, of_target, across)
        return AttendResult(
            attention=selected_weights((layer[0] for layer in of_text.weights), request),
            target_ids=target_ids,
            target_attention=selected_weights((layer[0] for layer in of_target.weights), request),
            cross_attention=selected_weights(across.weights, request),
        )

    def _target(self, request: AttendRequest) -> Tensor:
        """What the decoder reads: the start token, and the translation without its end."""
        if request.target is not None:
            ids = torch.from_numpy(request.target.ids)
            self.check([request.target])
        else:
            limit = min(self.room(request.tokens), 2 * len(request.tokens) + 8)
            (made,) = self.generate([GenerateRequest(tokens=request.tokens, max_new_tokens=limit)])
            ids = torch.tensor([token.id for token in made.sequences[0].tokens], dtype=torch.int64)
        ids = ids[~torch.isin(ids, torch.tensor(self.config.end_ids))]
        return torch.cat([torch.tensor([self.config.start_id]), ids])
