"""What takes longer to tell a GPU than it takes to compute.

A forward pass is a hundred operations and more, each of which takes the processor longer to launch than the GPU to
compute, unless there are thousands of tokens; and each launch gives the interpreter's lock away. So it is recorded, a
decoder's step once for a number of rows, an encoder's pass once for about a number of tokens, and replayed as one: a
CUDA graph.

Shapes: `B` rows, `V` vocabulary, `N` tokens of all texts, `D` width.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from models.kernels import gpu
from models.layers.attention import MAX_SHORT, Attending, WithinBlocks
from models.layers.devices import sent
from models.layers.kv_cache import KeyValueCache, Recall
from models.layers.packing import Packed, Segments
from models.layers.search import Scores

OutputT = TypeVar("OutputT")

Step = Callable[..., Tensor]
"""Token ids `[B]`, and a `Recall` of each cache, to logits `[B, V]`."""
Hidden = Callable[[Packed, Attending], Tensor]
"""See `TextModel.hidden`."""
Run = Callable[[Tensor, Tensor, Attending], Tensor]
"""Token ids and positions, two of `[N]`, to `[N, D]`."""
N_REHEARSALS = 2
MAX_TOKENS = 4096
"""Of texts some of which are not short, for which a pass is recorded; more are attended to faster by torch."""
MAX_PASSES, SMALLEST = 256, 16
"""Of one model that are kept; and the fewest tokens, and blocks of them, that one is recorded for."""


def are_recorded(device: torch.device) -> bool:
    """Whether passes and steps are, there; what is learnt through is not."""
    return device.type == "cuda" and gpu.missing() is None and not torch.is_grad_enabled()


def stepped(step: Step, token_ids: Tensor, *caches: KeyValueCache) -> Scores:
    """Of what follows these tokens, `[B]`, on the CPU or on the GPU; what is likeliest holds until the next step.

    The first of the caches has grown by them, the others stay as they are. The step must launch the same operations
    whatever the tensors hold.
    """
    device = caches[0].device
    if not are_recorded(device):
        return Scores(step(sent(token_ids.long(), device), *map(Recall, caches)))
    n_rows = min(gpu.power_of_2(len(token_ids)), *(cache.n_rows for cache in caches))
    recordings = _recordings(*caches)
    lengths = [[*cache.lengths] for cache in caches]
    recorded = recordings.by_rows.get(n_rows)
    inputs = None
    if recorded is None or not recorded.goes_on(token_ids, lengths):
        inputs = _inputs(token_ids, lengths, n_rows, device)
        recorded = recorded or _Recorded(step, inputs, caches, recordings.stream)
        recordings.by_rows[n_rows] = recorded
    logits, best = recorded.replayed(inputs, lengths)
    return Scores(logits[: len(token_ids)].clone(), best[:, : len(token_ids)])


def _inputs(token_ids: Tensor, lengths: list[list[int]], n_rows: int, device: torch.device) -> Tensor:
    """Of a `_Recorded`."""
    its = np.zeros((1 + len(lengths), n_rows), dtype=np.int64)
    for places, of_cache in zip(its[1:], lengths, strict=True):
        places[: len(of_cache)] = of_cache
        places -= places > 0
    inputs = sent(torch.from_numpy(its), device)
    inputs[0, : len(token_ids)] = sent(token_ids, device)
    return inputs


def _stream(device: torch.device) -> torch.cuda.Stream:
    """To record on, and for nothing else: what others launched there would become part of the recording.

    Torch has 32 streams of a priority, and gives them out again and again; no model computes on one of this.
    """
    return torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class _Recordings:
    """Steps by their number of rows, and what reads prompts, all after so many `moves` of what the caches remember."""

    stream: torch.cuda.Stream
    moves: tuple[int, ...] = ()
    by_rows: dict[int, "_Recorded"] = field(default_factory=dict)
    reading: "Passes | None" = None


def _recordings(*caches: KeyValueCache) -> _Recordings:
    """Those of caches that are used together, as long as what they remember lies where it is."""
    moves = tuple(cache.n_moves for cache in caches)
    recordings: _Recordings = caches[0].recorded or _Recordings(_stream(caches[0].device))
    caches[0].recorded = recordings
    if recordings.moves != moves:
        recordings.moves, recordings.by_rows, recordings.reading = moves, {}, None
    return recordings


def read(run: Run, token_ids: Tensor, segments: Segments, cache: KeyValueCache) -> Tensor:
    """The last hidden states, `[N, D]`, of new prompts, ids `[N]` on the CPU, which the cache's first rows remember."""
    recordings = _recordings(cache)
    reading = recordings.reading = recordings.reading or Passes(cache.device, causal=True, nobodys=-1)
    owners, _ = segments.counted

    def hidden(row: Packed, attend: Attending) -> Tensor:
        positions = row.segments.positions

        def remember_and_attend(layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
            cache.write(layer, k, v, (row.type_ids, positions))
            return attend(layer, q, k, v, scale)

        return run(row.token_ids, positions, remember_and_attend)

    return reading.hidden(Packed(token_ids, torch.from_numpy(owners), segments, range(len(segments))), hidden)


_recording = threading.Lock()


def _recorded(
    rehearse: Callable[[], object], run: Callable[[], OutputT], stream: torch.cuda.Stream, pool: Any = None
) -> tuple[torch.cuda.CUDAGraph, OutputT]:
    """What `run` does, as one; and what it gives, which changes with each replay. In memory that others of a pool use.

    What libraries allocate and choose at first must not be recorded: that is what rehearsals are for.
    """
    graph = torch.cuda.CUDAGraph()
    before = torch.cuda.current_stream(stream.device)
    stream.wait_stream(before)
    with _recording, torch.cuda.stream(stream):
        for _ in range(N_REHEARSALS):
            rehearse()
        stream.synchronize()
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")  # others go on meanwhile
        try:
            outputs = run()
        finally:
            graph.capture_end()
    before.wait_stream(stream)
    return graph, outputs


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
            logits = step(token_ids, *map(Recall, caches, lasts))
            best = gpu.likeliest(logits)
            token_ids.copy_(best[0])
            lasts[0] += 1
            return logits, best

        self._graph, self._outputs = _recorded(lambda: stepped(inputs.clone()), lambda: stepped(self._inputs), stream)

    def goes_on(self, token_ids: Tensor, lengths: list[list[int]]) -> bool:
        """Whether these tokens are the likeliest of the last step, and its rows as long as it left them."""
        return token_ids.data_ptr() == self._outputs[1].data_ptr() and lengths == self._next_lengths

    def replayed(self, inputs: Tensor | None, lengths: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Logits `[B, V]` after other inputs, or those that the last step left; and what is likeliest, see `Scores`.

        The next overwrites both.
        """
        if inputs is not None:
            self._inputs.copy_(inputs)
        self._graph.replay()
        grown, *others = lengths
        self._next_lengths = [[length + 1 for length in grown], *others]
        return self._outputs


class Passes:
    """Those of an encoder, recorded by about how many tokens, and blocks of `gpu.attend`, there are.

    What is beyond the texts is nobody's: an eighth of the tokens at most, unless they are few. All recordings share
    what they read and write, and the memory between, so that one is played at a time.
    """

    def __init__(self, device: torch.device, *, causal: bool, nobodys: int = 0) -> None:
        """`nobodys` is the type of tokens that are nobody's."""
        self._causal, self._nobodys = causal, nobodys
        self._stream = _stream(device)
        self._pool: Any = None
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._inputs = torch.empty(0, dtype=torch.int32, device=device)
        self._outputs: Tensor | None = None
        self._played_on: torch.cuda.Stream | None = None
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: object) -> Self:
        """Nothing is recorded of a copy yet."""
        return type(self)(self._inputs.device, causal=self._causal, nobodys=self._nobodys)

    @staticmethod
    def take(segments: Segments) -> bool:
        """Whether it pays for these texts."""
        return max(segments.lengths) <= MAX_SHORT or sum(segments.lengths) <= MAX_TOKENS

    def hidden(self, packed: Packed, hidden: Hidden) -> Tensor:
        """The last hidden states, `[N, D]`, of texts whose ids are on the CPU."""
        blocks = gpu.blocks_of(packed.segments)
        n_tokens, n_blocks = sum(packed.segments.lengths), blocks.shape[1]
        size = rounded(n_tokens), max(SMALLEST, gpu.power_of_2(n_blocks))
        inputs = np.zeros(3 * sum(size), np.int32)
        of_tokens, of_blocks = (part.reshape(3, -1) for part in np.split(inputs, [3 * size[0]]))
        _, positions = packed.segments.counted
        of_tokens[1, n_tokens:] = self._nobodys
        for row, values in zip(of_tokens, (*(ids.numpy() for ids in packed.given), positions), strict=True):
            row[:n_tokens] = values
        of_blocks[:, :n_blocks] = blocks
        given = torch.from_numpy(inputs).pin_memory()
        stream = torch.cuda.current_stream(self._inputs.device)
        with self._lock:
            if self._played_on is not None and self._played_on != stream:
                stream.wait_stream(self._played_on)
            self._played_on = stream
            self._make_room(size)
            self._inputs[: len(given)].copy_(given, non_blocking=True)
            graph = self._graphs.pop(size, None) or self._record(size, hidden)
            graph.replay()
            self._graphs[size] = graph  # the last of those that are kept
            assert self._outputs is not None  # noqa: S101 recording made room
            return self._outputs[:n_tokens].clone()

    def _make_room(self, size: tuple[int, int]) -> None:
        """What was recorded with less is forgotten."""
        n_inputs = 3 * sum(size)
        if n_inputs > len(self._inputs) or (self._outputs is not None and size[0] > len(self._outputs)):
            torch.cuda.current_stream(self._inputs.device).synchronize()  # others may be given the memory at once
            self._graphs, self._outputs = {}, None
            self._inputs = _room(max(n_inputs, len(self._inputs)), like=self._inputs)
        if size not in self._graphs and len(self._graphs) == MAX_PASSES:
            del self._graphs[next(iter(self._graphs))]

    def _record(self, size: tuple[int, int], hidden: Hidden) -> torch.cuda.CUDAGraph:
        """With the inputs as they are, for rehearsals read them."""
        n_tokens, n_blocks = size
        token_ids, type_ids, positions = self._inputs[: 3 * n_tokens].view(3, n_tokens)
        blocks = self._inputs[3 * n_tokens : 3 * sum(size)].view(3, n_blocks)
        segments = Segments([n_tokens], token_ids.device)
        segments.positions = positions
        row = Packed(token_ids, type_ids, segments, [0])
        attend = WithinBlocks(blocks, causal=self._causal)

        def run() -> None:
            states = hidden(row, attend)
            if self._outputs is None:
                self._outputs = _room(n_tokens, like=states)
            self._outputs[:n_tokens].copy_(states)

        if not self._graphs:
            self._pool = torch.cuda.graph_pool_handle()  # the last one ended with the last that used it
        graph, _ = _recorded(run, run, self._stream, self._pool)
        return graph


def rounded(n: int) -> int:
    """Up to a multiple of an eighth of the power of two below, and of the smallest."""
    step = max(SMALLEST, 1 << max(0, (n - 1).bit_length() - 4))
    return -(-n // step) * step


def _room(n: int, *, like: Tensor) -> Tensor:
    """For so many rows at least; what is made in inference mode could not be written to outside of it."""
    with torch.inference_mode(mode=False):
        size = gpu.power_of_2(n), *like.shape[1:]
        return torch.zeros(size, dtype=like.dtype, device=like.device)
