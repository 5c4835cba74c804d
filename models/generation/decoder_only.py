"""Makes a generator of a causal network that reads and writes one text.

Shapes: `N` tokens of all texts, `T` tokens of one text, `B` rows of the cache, `D` width, `V` vocabulary.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from models.codecs.text import SpecialTokens
from models.generation.cached_attention import CachedCrossAttention, DecodeAttention, PrefillAttention
from models.generation.decoder_graphs import decode_step, prefill_new_rows
from models.generation.generator import Generator, cache_shape_of
from models.generation.kv_cache import KeyValueCache
from models.generation.settings import read_known_ids, refusal
from models.generation.token_scores import NextTokens, TokenScores
from models.ops.devices import to_cpu, to_device
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.tasks.text import ScoreTextRequest, ScoreTextResult, Tokens
from models.text.attention_patterns import WithinTexts
from models.text.ragged_batch import RaggedBatch


class DecoderOnly(Generator[KeyValueCache]):
    """A causal network that continues texts. A family writes `forward`, `logits` and `tied_embeddings`.

    Its layers are `SelfAttention` modules, in order. It also sets `vocab_size`, `output_vocab_size` and `n_positions`.

    Attributes:
        start_id: the token with which a text begins if nothing else is given; None if the checkpoint names none.
    """

    causal = True
    prefills_in_parts = True
    start_id: int | None = None

    @abstractmethod
    def forward(self, token_ids: Tensor, positions: Tensor, attention: AttentionPattern) -> Tensor:
        """Return the last hidden states, `[N, D]`, of token ids and their positions, two of `[N]`."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits `[…, V]` of the tokens that follow hidden states `[…, D]`."""

    @override
    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        super().prepare(special, values)
        starts = {"bos_token_id": values.get("bos_token_id", special.start)}
        if isinstance(starts["bos_token_id"], list):
            raise refusal("bos_token_id", starts["bos_token_id"], "it must be one token id; token ids must be integers")
        self.start_id = next(iter(read_known_ids(starts, "bos_token_id", self.vocab_size)), None)

    @override
    def hidden(self, batch: RaggedBatch, attention: AttentionPattern) -> Tensor:
        return self.forward(batch.token_ids, batch.segments.positions, attention)

    @override
    def new_cache(self) -> KeyValueCache:
        return KeyValueCache(cache_shape_of(self))

    @override
    def prefill(self, parts: Sequence[Tensor], cache: KeyValueCache) -> Tensor:
        segments = Segments([len(part) for part in parts], self.device)
        starts = cache.add_parts(segments.lengths)
        token_ids = torch.cat(list(parts))
        if not any(starts) and self.graphs_for(segments) is not None:
            hidden = prefill_new_rows(self.forward, token_ids, segments, cache)
        else:
            attention = PrefillAttention(cache, segments, starts)
            hidden = self.forward(to_device(token_ids, self.device), attention.positions, attention)
        return self.logits(hidden[segments.last])

    @override
    def decode(self, tokens: NextTokens, cache: KeyValueCache) -> TokenScores:
        cache.extend([1] * len(cache))
        return decode_step(self.step, tokens, cache)

    def step(self, token_ids: Tensor, attention: DecodeAttention, source: CachedCrossAttention | None) -> Tensor:
        """Return the logits `[B, V]` after one token of each row, ids `[B]`; there is no source text."""
        return self.logits(self.forward(token_ids, attention.positions, attention))

    @override
    def max_new_tokens(self, prompt: Tokens) -> int:
        return self.n_positions - len(prompt)

    @override
    def decoder_prompt(self, prompt: Tokens) -> list[int]:
        ids: list[int] = prompt.ids.tolist()
        return ids


def score_text(model: DecoderOnly, requests: Sequence[ScoreTextRequest]) -> list[ScoreTextResult]:
    """Return the log-probability of each token after those before it.

    The first token has one only if the model has a start token, after which it is predicted.
    """
    batch = RaggedBatch.of_texts(
        [_predicted_from(request.tokens, model.start_id) for request in requests], model.device
    )
    hidden = model.hidden(batch, WithinTexts(batch.segments, causal=True))
    texts = zip(requests, batch.by_text(hidden), strict=True)
    return [_score_tokens(model, request.tokens, states) for request, states in texts]


def _predicted_from(tokens: Tokens, start_id: int | None) -> Tokens:
    """Return the tokens from which those of a text are predicted: the start token, and all but the last."""
    if start_id is None:
        return tokens
    return replace(tokens, ids=np.array([start_id, *tokens.ids[:-1]], np.int64))


def _score_tokens(model: DecoderOnly, tokens: Tokens, states: Tensor) -> ScoreTextResult:
    """Return the log-probabilities of the tokens of a text by the states `[T, D]` from which they are predicted."""
    positions = range(0 if model.start_id is not None else 1, len(tokens))
    log_probs = to_cpu(model.logits(states[: len(positions)])).log_softmax(-1)
    ids = torch.from_numpy(tokens.ids[positions.start :])
    return ScoreTextResult(positions=positions, log_probs=log_probs[range(len(positions)), ids])
