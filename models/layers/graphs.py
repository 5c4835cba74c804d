"""A step of a decoder on a GPU, which takes longer to say than to do.

A step is a hundred operations and more, each of which takes the processor longer to launch than the GPU to compute. So
it is recorded, once for a number of rows, and replayed as one: a CUDA graph.

Shapes: `B` rows, `V` vocabulary.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models.kernels import gpu
from models.layers.devices import sent
from models.layers.kv_cache import KeyValueCache, Recall
from models.layers.search import Scores

Step = Callable[..., Tensor]
"""Token ids `[B]`, and a `Recall` of each cache, to logits `[B, V]`."""
N_REHEARSALS = 2
"""What libraries allocate and choose at first must not be recorded."""


def are_recorded(device: torch.device) -> bool:
    """Whether steps are, there; what is learnt through is not."""
    return device.type == "cuda" and gpu.missing() is None and not torch.is_grad_enabled()


def stepped(step: Step, token_ids: Tensor, *caches: KeyValueCache) -> Scores:
    """Of what follows these tokens, `[B]`, on the CPU or on the GPU; what is likeliest holds until the next step.

    The step must launch the same operations whatever the tensors hold.
    """
    device = caches[0].device
    if not are_recorded(device):
        return Scores(step(sent(token_ids.long(), device), *map(Recall, caches)))
    n_rows = min(1 << (len(token_ids) - 1).bit_length(), *(cache.n_rows for cache in caches))
    inputs = np.zeros((1 + len(caches), n_rows), dtype=np.int64)
    for places, cache in zip(inputs[1:], caches, strict=True):
        places[: len(cache)] = cache.lengths
        places -= places > 0
    given = sent(torch.from_numpy(inputs), device)
    given[0, : len(token_ids)] = sent(token_ids, device)
    moves = tuple(cache.n_moves for cache in caches)
    recordings: _Recordings = caches[0].recorded or _Recordings(_stream(device))
    caches[0].recorded = recordings
    if recordings.moves != moves:
        recordings.moves, recordings.by_rows = moves, {}
    if n_rows not in recordings.by_rows:
        recordings.by_rows[n_rows] = _Recorded(step, given, caches, recordings.stream)
    logits, best = recordings.by_rows[n_rows].replayed(given)
    return Scores(logits[: len(token_ids)].clone(), best[:, : len(token_ids)])


def _stream(device: torch.device) -> torch.cuda.Stream:
    """To record on, and for nothing else: what others launched there would become part of the recording.

    Torch has 32 streams of a priority, and gives them out again and again; no model computes on one of this.
    """
    return torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class _Recordings:
    """Steps by their number of rows, all after so many `moves` of what the caches remember."""

    stream: torch.cuda.Stream
    moves: tuple[int, ...] = ()
    by_rows: dict[int, "_Recorded"] = field(default_factory=dict)


_recording = threading.Lock()


class _Recorded:
    """A step with what the caches remember, where that is now.

    `inputs` are token ids and, for each cache, where its rows' last tokens are: `[1 + n_caches, B]`, int64. There may
    be rows beyond those of the caches, which are nobody's.
    """

    def __init__(self, step: Step, inputs: Tensor, caches: Sequence[KeyValueCache], stream: torch.cuda.Stream) -> None:
        self._inputs = inputs

        def stepped() -> tuple[Tensor, Tensor]:
            token_ids, *lasts = inputs
            logits = step(token_ids, *map(Recall, caches, lasts))
            return logits, gpu.likeliest(logits)

        self._graph = torch.cuda.CUDAGraph()
        before = torch.cuda.current_stream(inputs.device)
        stream.wait_stream(before)
        with _recording, torch.cuda.stream(stream):
            for _ in range(N_REHEARSALS):
                stepped()
            stream.synchronize()
            self._graph.capture_begin(capture_error_mode="thread_local")  # others go on meanwhile
            try:
                self._outputs = stepped()
            finally:
                self._graph.capture_end()
        before.wait_stream(stream)

    def replayed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, V]` after other inputs, and what is likeliest, see `Scores`; the next overwrites both."""
        self._inputs.copy_(inputs)
        self._graph.replay()
        return self._outputs
