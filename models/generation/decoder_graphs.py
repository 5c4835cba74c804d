"""CUDA graphs of a decoder: of a decoding step, once for a number of rows, and of reading new prompts.

Shapes: `B` rows, `V` vocabulary, `N` tokens of all prompts, `D` width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models.generation.cached_attention import CachedCrossAttention, DecodeAttention
from models.generation.kv_cache import CacheGraphs, KeyValueCache
from models.generation.token_scores import NextTokens, TokenScores
from models.ops.cuda_graphs import capture_stream, record_graph, uses_cuda_graphs
from models.ops.devices import to_device
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.ops.sizes import next_power_of_2
from models.ops.top_tokens import top_tokens
from models.text.encoder_graphs import EncoderGraphs

Step = Callable[[Tensor, DecodeAttention, CachedCrossAttention | None], Tensor]
"""Returns the logits `[B, V]` after token ids `[B]`, given the attention to the own rows and to the source texts."""

Forward = Callable[[Tensor, Tensor, AttentionPattern], Tensor]
"""Returns the last hidden states, `[N, D]`, of token ids and positions, two of `[N]`."""

NO_ROW = -1
"""Row of a token that is written to no row of a cache."""


def decode_step(
    step: Step, tokens: NextTokens, cache: KeyValueCache, source: KeyValueCache | None = None
) -> TokenScores:
    """Return the scores after tokens for which the cache has made room already; on a GPU, by a recorded step.

    `step` must launch the same operations whatever the tensors hold. `source` has the source texts of an
    encoder-decoder.
    """
    device = cache.device
    if not uses_cuda_graphs(device):
        crossing = None if source is None else CachedCrossAttention(source)
        return TokenScores(step(to_device(tokens.ids.long(), device), DecodeAttention(cache), crossing))
    caches = (cache,) if source is None else (cache, source)
    n_rows = min(next_power_of_2(len(tokens.ids)), *(each.keys_values(0).shape[1] for each in caches))
    graphs = _graphs_of(*caches)
    lengths = [[*each.lengths] for each in caches]
    graph = graphs.steps.get(n_rows)
    inputs = None
    if graph is None or not graph.has_inputs_of(tokens, lengths):
        inputs = _step_inputs(tokens.ids, lengths, n_rows, device)
        graph = graphs.steps[n_rows] = graph or StepGraph(step, inputs, caches, graphs.stream)
    return graph.replay(inputs, lengths, len(tokens.ids))


def _step_inputs(token_ids: Tensor, lengths: list[list[int]], n_rows: int, device: torch.device) -> Tensor:
    """Return the inputs of a `StepGraph`: token ids, and the last position of each row of each cache."""
    values = np.zeros((1 + len(lengths), n_rows), dtype=np.int64)
    for positions, of_cache in zip(values[1:], lengths, strict=True):
        positions[: len(of_cache)] = of_cache
        positions -= positions > 0
    inputs = to_device(torch.from_numpy(values), device)
    inputs[0, : len(token_ids)] = to_device(token_ids, device)
    return inputs


@dataclass(slots=True)
class DecoderGraphs(CacheGraphs):
    """What is recorded over the caches of a decoder, as long as their keys and values stay where they are.

    Attributes:
        stream: the stream on which steps are recorded.
        n_reallocations: how often the caches had moved when the graphs were recorded.
        steps: the recorded steps by their number of rows.
        prefill: the recorded passes over new prompts, once there are any.
    """

    stream: torch.cuda.Stream
    n_reallocations: tuple[int, ...] = ()
    steps: "dict[int, StepGraph]" = field(default_factory=dict)
    prefill: EncoderGraphs | None = None


def _graphs_of(*caches: KeyValueCache) -> DecoderGraphs:
    """Return the graphs of caches that are used together; none are left if one of the caches has moved."""
    cache = caches[0]
    graphs = cache.graphs
    if not isinstance(graphs, DecoderGraphs):
        graphs = cache.graphs = DecoderGraphs(capture_stream(cache.device))
    n_reallocations = tuple(each.n_reallocations for each in caches)
    if graphs.n_reallocations != n_reallocations:
        graphs.n_reallocations, graphs.steps, graphs.prefill = n_reallocations, {}, None
    return graphs


def prefill_new_rows(forward: Forward, token_ids: Tensor, segments: Segments, cache: KeyValueCache) -> Tensor:
    """Return the last hidden states, `[N, D]`, of whole prompts, by a recorded pass.

    Their keys and values are written to the first rows of the cache, which has made room for them already. The ids,
    `[N]`, are on the CPU.
    """
    graphs = _graphs_of(cache)
    graphs.prefill = graphs.prefill or EncoderGraphs(cache.device, causal=True, padding=(0, NO_ROW))
    owners, _ = segments.owners_and_positions

    def forward_row(inputs: Sequence[Tensor], row: Segments, attend: AttentionPattern) -> Tensor:
        ids, cache_rows = inputs

        def write_and_attend(layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
            cache.write(layer, k, v, cache_rows, row.positions)
            return attend(layer, q, k, v, scale)

        return forward(ids, row.positions, write_and_attend)

    return graphs.prefill.run((token_ids, torch.from_numpy(owners)), segments, forward_row)


class StepGraph:
    """A recorded decoding step, which reads and writes caches where they are now.

    Its inputs are token ids and, for each cache, the position of the last token of each row: `[1 + n_caches, n_rows]`,
    int64. There may be more rows than the caches have; their results are not used. A replay leaves the inputs of the
    step after it in place, in case each row continues with its likeliest token: then nothing has to be sent.
    """

    def __init__(self, step: Step, inputs: Tensor, caches: Sequence[KeyValueCache], stream: torch.cuda.Stream) -> None:
        self._inputs = inputs.clone()
        self._next_lengths: list[list[int]] = []
        self._last_replay: object | None = None

        def run(inputs: Tensor) -> tuple[Tensor, Tensor]:
            token_ids, positions, *source_positions = inputs
            attention = DecodeAttention(caches[0], positions)
            sources = zip(caches[1:], source_positions, strict=True)
            crossing = next((CachedCrossAttention(*source) for source in sources), None)
            logits = step(token_ids, attention, crossing)
            best = top_tokens(logits)
            token_ids.copy_(best[0])
            positions += 1
            return logits, best

        self._graph, self._outputs = record_graph(lambda: run(inputs.clone()), lambda: run(self._inputs), stream)

    def has_inputs_of(self, tokens: NextTokens, lengths: list[list[int]]) -> bool:
        """Return whether the last replay left the inputs for these tokens and for caches of these lengths in place."""
        follows = tokens.replay is not None and tokens.replay is self._last_replay
        return follows and lengths == self._next_lengths

    def replay(self, inputs: Tensor | None, lengths: list[list[int]], n_rows: int) -> TokenScores:
        """Return the scores of the first `n_rows` rows, after these inputs or, if None, after those in place.

        `lengths` are those of the rows of each cache. The next replay overwrites the likeliest tokens of the scores.
        """
        if inputs is not None:
            self._inputs.copy_(inputs)
        self._graph.replay()
        own, *others = lengths
        self._next_lengths = [[length + 1 for length in own], *others]
        self._last_replay = object()
        logits, best = self._outputs
        return TokenScores(logits[:n_rows].clone(), best[:, :n_rows], self._last_replay)
