"""Makes a generator of a network that reads one text and writes another.

Shapes: `N` tokens of all texts, `T` tokens of one text, `B` rows of the cache, `D` width, `V` target vocabulary, `H`
heads, `d` width of a head.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.codecs.text import SpecialTokens
from models.generation.cached_attention import CachedCrossAttention, DecodeAttention, PrefillAttention
from models.generation.decoder_graphs import decode_step
from models.generation.generator import Generator, cache_shape_of
from models.generation.kv_cache import EncoderDecoderCache, KeyValueCache
from models.generation.tasks import generate
from models.generation.token_scores import NextTokens, TokenScores
from models.ops.segments import Segments
from models.tasks.generation import GenerateRequest
from models.tasks.text import AttendRequest, AttendResult, Tokens
from models.text.attention_patterns import RecordedAttention, RecordedCrossAttention
from models.text.attention_weights import selected_weights
from models.text.ragged_batch import RaggedBatch


class EncoderDecoder(Generator[EncoderDecoderCache]):
    """An encoder and a decoder that reads the encoder's states. `/encode` and the like are those of the encoder.

    A family writes `hidden`, which is the encoder, `logits`, `keys_values` and `tied_embeddings`.

    Attributes:
        decoder: the decoder. Given token ids and positions, two of `[N]`, an `AttentionPattern` and a
            `CrossAttentionPattern`, it returns the last hidden states `[N, D]`. Its layers are `SelfAttention` modules,
            in order.
        start_id: the token with which the decoder begins every text.
    """

    reads_source = True
    decoder: nn.Module
    start_id: int

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits `[N, V]` of the tokens that follow hidden states `[N, D]` of the decoder."""

    @abstractmethod
    def keys_values(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the keys and values, two of `[N, H, d]`, of the encoder's states `[N, D]`, for each decoder layer."""

    @override
    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        super().prepare(special, values)
        self.generation_defaults = self.generation_defaults.of_new_tokens(n_given=1)

    @override
    def new_cache(self) -> EncoderDecoderCache:
        shape = cache_shape_of(self.decoder)
        return EncoderDecoderCache(KeyValueCache(shape), KeyValueCache(shape))

    @override
    def prefill(self, parts: Sequence[Tensor], cache: EncoderDecoderCache) -> Tensor:
        """Read whole source texts, and start a text after each; see `Generator.prefill`."""
        segments = Segments([len(part) for part in parts], self.device)
        token_ids = torch.cat(list(parts))
        memory = self.last_hidden(RaggedBatch(token_ids, torch.zeros_like(token_ids), segments, range(len(parts))))
        cache.source.append(segments.lengths)
        for layer, (k, v) in enumerate(self.keys_values(memory)):
            cache.source.write(layer, k, v, segments.owners, segments.positions)
        starts = Segments([1] * len(parts), self.device)
        start_ids = torch.full((len(parts),), self.start_id, device=self.device)
        attention = PrefillAttention(cache.own, starts, cache.own.add_parts(starts.lengths))
        crossing = CachedCrossAttention(cache.source)
        return self.logits(self.decoder(start_ids, starts.positions, attention, crossing))

    @override
    def decode(self, tokens: NextTokens, cache: EncoderDecoderCache) -> TokenScores:
        cache.own.extend([1] * len(cache))
        return decode_step(self.step, tokens, cache.own, cache.source)

    def step(self, token_ids: Tensor, attention: DecodeAttention, source: CachedCrossAttention | None) -> Tensor:
        """Return the logits `[B, V]` after one token of each row, ids `[B]`."""
        return self.logits(self.decoder(token_ids, attention.positions, attention, source))

    @override
    def max_new_tokens(self, prompt: Tokens) -> int:
        return self.n_positions - 1  # the start token has a position as well

    @override
    def decoder_prompt(self, prompt: Tokens) -> list[int]:
        return [self.start_id]


def show_attention(model: EncoderDecoder, requests: Sequence[AttendRequest]) -> list[AttendResult]:
    """Return how much each token of a text and of its translation sees of its own text, and of the other.

    The translation is the one of the request or, if it has none, that of the model.
    """
    results: list[AttendResult] = []
    for request in requests:
        batch = model.batch_of([request.tokens])
        in_source = RecordedAttention(batch.segments)
        (memory,) = batch.by_text(model.hidden(batch, in_source))
        target_ids = _target_ids(model, request)
        segments = Segments([len(target_ids)], model.device)
        in_target = RecordedAttention(segments, causal=True)
        crossing = RecordedCrossAttention(model.keys_values(memory))
        model.decoder(target_ids.to(model.device), segments.positions, in_target, crossing)
        result = AttendResult(
            attention=selected_weights((layer[0] for layer in in_source.weights), request),
            target_ids=target_ids,
            target_attention=selected_weights((layer[0] for layer in in_target.weights), request),
            cross_attention=selected_weights(crossing.weights, request),
        )
        results.append(result)
    return results


def _target_ids(model: EncoderDecoder, request: AttendRequest) -> Tensor:
    """Return what the decoder reads, `[T]`: the start token, and the translation without its end."""
    if request.target is not None:
        ids = torch.from_numpy(request.target.ids)
        model.check_lengths([request.target])
    else:
        limit = min(model.max_new_tokens(request.tokens), 2 * len(request.tokens) + 8)
        (result,) = generate(model, [GenerateRequest(tokens=request.tokens, max_new_tokens=limit)])
        ids = torch.tensor([token.id for token in result.sequences[0].tokens], dtype=torch.int64)
    end_ids = torch.tensor(model.generation_rules.end_ids, dtype=torch.int64)
    ids = ids[~torch.isin(ids, end_ids)]
    return torch.cat([torch.tensor([model.start_id]), ids])
