"""What takes longer to tell a GPU than it takes to compute.

A forward pass is a hundred operations and more, each of which takes the processor longer to launch than the GPU to
compute, unless there are thousands of tokens; and each launch gives the interpreter's lock away. So it is recorded, a
decoder's step once for a number of rows, an encoder's pass once for about a number of tokens, and replayed as one: a
CUDA graph.

Shapes: `B` rows, `V` vocabulary, `N` tokens of all texts, `D` width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models.generation.cached_attention import CachedContext
from models.generation.kv_cache import KeyValueCache
from models.generation.scores import TokenScores
from models.ops.cuda_graphs import are_recorded, capture_stream, graph_size, record_graph
from models.ops.devices import to_device
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.ops.top_tokens import top_tokens
from models.text.encoder_graphs import EncoderGraphs
from models.text.ragged_batch import RaggedBatch

Step = Callable[..., Tensor]
"""Token ids `[B]`, and a `CachedContext` of each cache, to logits `[B, V]`."""


Run = Callable[[Tensor, Tensor, AttentionPattern], Tensor]
"""Token ids and positions, two of `[N]`, to `[N, D]`."""


def stepped(step: Step, token_ids: Tensor, *caches: KeyValueCache) -> TokenScores:
    """Of what follows these tokens, `[B]`, on the CPU or on the GPU; what is likeliest holds until the next step.

    The first of the caches has grown by them, the others stay as they are. The step must launch the same operations
    whatever the tensors hold.
    """
    device = caches[0].device
    if not are_recorded(device):
        return TokenScores(step(to_device(token_ids.long(), device), *map(CachedContext, caches)))
    n_rows = min(graph_size(len(token_ids)), *(cache.n_rows for cache in caches))
    recordings = _recordings(*caches)
    lengths = [[*cache.lengths] for cache in caches]
    recorded = recordings.by_rows.get(n_rows)
    inputs = None
    if recorded is None or not recorded.goes_on(token_ids, lengths):
        inputs = _inputs(token_ids, lengths, n_rows, device)
        recorded = recorded or _Recorded(step, inputs, caches, recordings.stream)
        recordings.by_rows[n_rows] = recorded
    logits, best = recorded.replayed(inputs, lengths)
    return TokenScores(logits[: len(token_ids)].clone(), best[:, : len(token_ids)])


def _inputs(token_ids: Tensor, lengths: list[list[int]], n_rows: int, device: torch.device) -> Tensor:
    """Of a `_Recorded`."""
    its = np.zeros((1 + len(lengths), n_rows), dtype=np.int64)
    for places, of_cache in zip(its[1:], lengths, strict=True):
        places[: len(of_cache)] = of_cache
        places -= places > 0
    inputs = to_device(torch.from_numpy(its), device)
    inputs[0, : len(token_ids)] = to_device(token_ids, device)
    return inputs


@dataclass(slots=True)
class _Recordings:
    """Steps by their number of rows, and what reads prompts, all after so many `moves` of what the caches remember."""

    stream: torch.cuda.Stream
    moves: tuple[int, ...] = ()
    by_rows: dict[int, "_Recorded"] = field(default_factory=dict)
    reading: "EncoderGraphs | None" = None


def _recordings(*caches: KeyValueCache) -> _Recordings:
    """Those of caches that are used together, as long as what they remember lies where it is."""
    moves = tuple(cache.n_moves for cache in caches)
    recordings: _Recordings = caches[0].recorded or _Recordings(capture_stream(caches[0].device))
    caches[0].recorded = recordings
    if recordings.moves != moves:
        recordings.moves, recordings.by_rows, recordings.reading = moves, {}, None
    return recordings


def read(run: Run, token_ids: Tensor, segments: Segments, cache: KeyValueCache) -> Tensor:
    """The last hidden states, `[N, D]`, of new prompts, ids `[N]` on the CPU, which the cache's first rows remember."""
    recordings = _recordings(cache)
    reading = recordings.reading = recordings.reading or EncoderGraphs(cache.device, causal=True, nobodys=-1)
    owners, _ = segments.owners_and_positions

    def hidden(row: RaggedBatch, attend: AttentionPattern) -> Tensor:
        positions = row.segments.positions

        def remember_and_attend(layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
            cache.write(layer, k, v, (row.type_ids, positions))
            return attend(layer, q, k, v, scale)

        return run(row.token_ids, positions, remember_and_attend)

    return reading.hidden(RaggedBatch(token_ids, torch.from_numpy(owners), segments, range(len(segments))), hidden)


class _Recorded:
    """A step with what the caches remember, where that is now.

    `inputs` are token ids and, for each cache, where its rows' last tokens are: `[1 + n_caches, B]`, int64. There may
    be rows beyond those of the caches, which are nobody's. Afterwards they are those of the next step, should every row
    take its likeliest token: then nothing is to be sent.
    """

    def __init__(self, step: Step, inputs: Tensor, caches: Sequence[KeyValueCache], stream: torch.cuda.Stream) -> None:
        self._inputs = inputs.clone()
        self._next_lengths: list[list[int]] = []

        def stepped(inputs: Tensor) -> tuple[Tensor, Tensor]:
            token_ids, *lasts = inputs
            logits = step(token_ids, *map(CachedContext, caches, lasts))
            best = top_tokens(logits)
            token_ids.copy_(best[0])
            lasts[0] += 1
            return logits, best

        self._graph, self._outputs = record_graph(
            lambda: stepped(inputs.clone()), lambda: stepped(self._inputs), stream
        )

    def goes_on(self, token_ids: Tensor, lengths: list[list[int]]) -> bool:
        """Whether these tokens are the likeliest of the last step, and its rows as long as it left them."""
        return token_ids.data_ptr() == self._outputs[1].data_ptr() and lengths == self._next_lengths

    def replayed(self, inputs: Tensor | None, lengths: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Logits `[B, V]` after other inputs, or those that the last step left; and what is likeliest, see `TokenScores`.

        The next overwrites both.
        """
        if inputs is not None:
            self._inputs.copy_(inputs)
        self._graph.replay()
        grown, *others = lengths
        self._next_lengths = [[length + 1 for length in grown], *others]
        return self._outputs
