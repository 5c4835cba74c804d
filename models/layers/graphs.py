"""A step of a decoder on a GPU, which takes longer to say than to do.

A step is a hundred operations and more, each of which takes the processor longer to launch than the GPU to compute. So
it is recorded, once for a number of rows, and replayed as one: a CUDA graph.

Shapes: `B` rows, `V` vocabulary.
"""

from collections.abc import Callable, Sequence

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
    """Whether steps are, there."""
    return device.type == "cuda" and gpu.missing() is None


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
    recorded, moves = caches[0].recorded, tuple(cache.n_moves for cache in caches)
    if n_rows not in recorded or recorded[n_rows].moves != moves:
        recorded[n_rows] = _Recorded(step, given, caches, moves)
    logits, best = recorded[n_rows].replayed(given)
    return Scores(logits[: len(token_ids)].clone(), best[:, : len(token_ids)])


class _Recorded:
    """A step with what the caches remember, at the places where that was after so many `moves`.

    `inputs` are token ids and, for each cache, where its rows' last tokens are: `[1 + n_caches, B]`, int64. There may
    be rows beyond those of the caches, which are nobody's.
    """

    def __init__(self, step: Step, inputs: Tensor, caches: Sequence[KeyValueCache], moves: tuple[int, ...]) -> None:
        self.moves, self._inputs = moves, inputs

        def stepped() -> tuple[Tensor, Tensor]:
            token_ids, *lasts = inputs
            logits = step(token_ids, *map(Recall, caches, lasts))
            return logits, gpu.likeliest(logits)

        self._graph = torch.cuda.CUDAGraph()
        before = torch.cuda.current_stream(inputs.device)
        own = before  # but what all threads share cannot be recorded
        if before == torch.cuda.default_stream(inputs.device):
            own = torch.cuda.Stream(inputs.device)  # type: ignore[no-untyped-call]
        own.wait_stream(before)
        with torch.cuda.stream(own):
            for _ in range(N_REHEARSALS):
                stepped()
            own.synchronize()
            self._graph.capture_begin(capture_error_mode="thread_local")  # others go on meanwhile
            try:
                self._outputs = stepped()
            finally:
                self._graph.capture_end()
        before.wait_stream(own)

    def replayed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, V]` after other inputs, and what is likeliest, see `Scores`; the next overwrites both."""
        self._inputs.copy_(inputs)
        self._graph.replay()
        return self._outputs
