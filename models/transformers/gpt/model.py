"""A decoder of text: each token sees itself and those before it.

Shapes: `N` tokens of all texts, `B` texts, `D` width, `V` vocabulary.
"""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.codecs.text import SpecialTokens
from models.errors import CheckpointError
from models.generation.cached_attention import CachedContext, DecodeAttention, PrefillAttention
from models.generation.decoder_graphs import read, stepped
from models.generation.generator import Generator
from models.generation.kv_cache import CacheShape, KeyValueCache
from models.generation.sampling import GenerationRules
from models.generation.scores import TokenScores
from models.layers.block import Block
from models.ops.blocks import transformer_blocks
from models.ops.devices import to_cpu, to_device
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.tasks.text import ScoreTextRequest, ScoreTextResult, Tokens
from models.text.attention_patterns import WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.transformers.gpt.config import GptConfig


class Gpt(Generator):
    """Word and position embeddings, then blocks, then a last norm. Source: Radford et al. 2019, section 2.3.

    `start_id` is the token that texts begin with where nothing else is given; none where the checkpoint names none.
    """

    causal = True
    reads_in_parts = True
    start_id: int | None = None

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.vocab_size, self.n_positions = config.vocab_size, config.n_positions
        self.labels, self.problem = config.labels, config.problem
        self.n_heads = config.n_heads
        root = (config.width // config.n_heads) ** -0.5 if config.scaled else 1.0

        def scale_of(layer: int) -> float:
            return root / (layer + 1) if config.scaled_by_layer else root

        self.words = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.n_positions, config.width)
        self.dropout = nn.Dropout(0.0)  # training sets the probability
        self.blocks = nn.ModuleList(Block(config.block, scale_of=scale_of) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        is_own = config.untied and config.continues
        self.decoder = nn.Linear(config.width, config.vocab_size, bias=False) if is_own else None
        n_labels = len(config.labels)
        self.sequence_head = nn.Linear(config.width, n_labels, bias=False) if n_labels else None

    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        """See `TextModel.prepare`."""
        ends = values.get("eos_token_id", special.end)
        self.rules = GenerationRules(
            ends=self._known("eos_token_id", ends if isinstance(ends, list) else [ends]),
            suppressed=self._known("suppress_tokens", values.get("suppress_tokens") or []),
        )
        self.start_id = next(iter(self._known("bos_token_id", [values.get("bos_token_id", special.start)])), None)

    def forward(self, token_ids: Tensor, positions: Tensor, attend: AttentionPattern) -> Tensor:
        """Two of `[N]` to `[N, D]`."""
        x = self.dropout(self.words(token_ids) + self.positions(positions))
        normalised: Tensor = self.norm(transformer_blocks(self.blocks, x, attend))
        return normalised

    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        """See `TextModel.hidden`."""
        return self.forward(batch.token_ids, batch.segments.positions, attention)

    def logits(self, hidden: Tensor) -> Tensor:
        """`[…, D]` to `[…, V]`, by the word embeddings unless the model has a matrix for it."""
        logits: Tensor = self.scored(hidden, self.words.weight) if self.decoder is None else self.decoder(hidden)
        return logits

    def shared_words(self) -> Tensor | None:
        """See `Generator.shared_words`."""
        return self.words.weight if self.decoder is None else None

    def class_logits(self, texts: Sequence[Tokens]) -> Tensor:
        """See `TextModel.class_logits`; of each text's last token."""
        if self.sequence_head is None:
            raise NotImplementedError("this model was built without labels")
        batch, hidden = self.read(texts)
        return to_cpu(self.sequence_head(batch.in_given_order(hidden[batch.segments.last])))

    def score_text(self, requests: Sequence[ScoreTextRequest]) -> list[ScoreTextResult]:
        """Each token's log-probability after those before it; the first after the start token, if there is one."""
        prompts = [self._with_start(request.tokens) for request in requests]
        batch = RaggedBatch.of_texts(prompts, self.device)
        hidden = self.hidden(batch, WithinTexts(batch.segments, causal=True))
        return [
            self._scored(request.tokens, states)
            for request, states in zip(requests, batch.by_text(hidden), strict=True)
        ]

    def new_cache(self) -> KeyValueCache:
        """See `Generator.new_cache`."""
        weight = self.words.weight
        head_width = weight.shape[1] // self.n_heads
        return KeyValueCache(
            CacheShape(
                n_layers=len(self.blocks),
                n_heads=self.n_heads,
                head_width=head_width,
                dtype=weight.dtype,
                device=weight.device,
            )
        )

    def prefill(self, parts: Sequence[Tensor], cache: KeyValueCache) -> Tensor:
        """See `Generator.prefill`."""
        segments = Segments([len(part) for part in parts], self.device)
        attend = PrefillAttention(cache, segments)
        token_ids = torch.cat(list(parts))
        if not attend.continues and self.graphs_for(segments) is not None:
            hidden = read(self.forward, token_ids, segments, cache)
        else:
            hidden = self.forward(to_device(token_ids, self.device), attend.positions, attend)
        return self.logits(hidden[segments.last])

    def decode(self, token_ids: Tensor, cache: KeyValueCache) -> TokenScores:
        """See `Generator.decode`."""
        cache.extend([1] * len(cache))
        return stepped(self._step, token_ids, cache)

    def room(self, tokens: Tokens) -> int:
        """See `Generator.room`."""
        return self.n_positions - len(tokens)

    def _known(self, name: str, ids: Any) -> tuple[int, ...]:
        """Those of a list of ids that are in the vocabulary; None stands for no id."""
        if not isinstance(ids, list) or any(type(one) not in (int, type(None)) for one in ids):
            raise CheckpointError(f"{name} is {reprlib.repr(ids)}; token ids must be integers")
        return tuple(one for one in ids if one is not None and 0 <= one < self.vocab_size)

    def _step(self, token_ids: Tensor, own: CachedContext) -> Tensor:
        return self.logits(self.forward(token_ids, own.last, DecodeAttention(own)))

    def _with_start(self, tokens: Tokens) -> Tokens:
        """The start token and all but the last token: what the tokens are predicted from."""
        if self.start_id is None:
            return tokens
        return replace(tokens, ids=np.array([self.start_id, *tokens.ids[:-1]], np.int64))

    def _scored(self, tokens: Tokens, states: Tensor) -> ScoreTextResult:
        """Of the states `[T, D]` of what the tokens are predicted from; the first has none without a start token."""
        places = range(0 if self.start_id is not None else 1, len(tokens))
        rows = to_cpu(self.logits(states[: len(places)])).log_softmax(-1)
        ids = torch.from_numpy(tokens.ids[places.start :])
        return ScoreTextResult(positions=places, log_probs=rows[range(len(places)), ids])
