"""Placeholder: to be described."""

import threading
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from models.ops.attention import MAX_SHORT_TEXT
from models.ops.cuda_graphs import capture_stream, graph_size, record_graph
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTextBlocks
from models.text.ragged_batch import RaggedBatch

Hidden = Callable[[RaggedBatch, AttentionPattern], Tensor]
"""See `TextModel.hidden`."""


MAX_TOKENS = 4096
"""Of texts some of which are not short, for which a pass is recorded; more are attended to faster by torch."""


MAX_PASSES, SMALLEST = 256, 16
"""Of one model that are kept; and the fewest tokens, and blocks of them, that one is recorded for."""


class EncoderGraphs:
    """Those of an encoder, recorded by about how many tokens, and blocks of `block_attention`, there are.

    What is beyond the texts is nobody's: an eighth of the tokens at most, unless they are few. All recordings share
    what they read and write, and the memory between, so that one is played at a time.
    """

    def __init__(self, device: torch.device, *, causal: bool, nobodys: int = 0) -> None:
        """`nobodys` is the type of tokens that are nobody's."""
        self._causal, self._nobodys = causal, nobodys
        self.capture_stream = capture_stream(device)
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
        return max(segments.lengths) <= MAX_SHORT_TEXT or sum(segments.lengths) <= MAX_TOKENS

    def hidden(self, packed: RaggedBatch, hidden: Hidden) -> Tensor:
        """The last hidden states, `[N, D]`, of texts whose ids are on the CPU."""
        blocks = packed.segments.block_table
        n_tokens, n_blocks = sum(packed.segments.lengths), blocks.shape[1]
        size = rounded(n_tokens), max(SMALLEST, graph_size(n_blocks))
        inputs = np.zeros(3 * sum(size), np.int32)
        of_tokens, of_blocks = (part.reshape(3, -1) for part in np.split(inputs, [3 * size[0]]))
        _, positions = packed.segments.owners_and_positions
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
        row = RaggedBatch(token_ids, type_ids, segments, [0])
        attend = WithinTextBlocks(blocks, causal=self._causal)

        def run() -> None:
            states = hidden(row, attend)
            if self._outputs is None:
                self._outputs = _room(n_tokens, like=states)
            self._outputs[:n_tokens].copy_(states)

        if not self._graphs:
            self._pool = torch.cuda.graph_pool_handle()  # the last one ended with the last that used it
        graph, _ = record_graph(run, run, self.capture_stream, self._pool)
        return graph


def rounded(n: int) -> int:
    """Up to a multiple of an eighth of the power of two below, and of the smallest."""
    step = max(SMALLEST, 1 << max(0, (n - 1).bit_length() - 4))
    return -(-n // step) * step


def _room(n: int, *, like: Tensor) -> Tensor:
    """For so many rows at least; what is made in inference mode could not be written to outside of it."""
    with torch.inference_mode(mode=False):
        size = graph_size(n), *like.shape[1:]
        return torch.zeros(size, dtype=like.dtype, device=like.device)
