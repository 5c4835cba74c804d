"""CUDA graphs of forward passes over texts, each recorded for about a number of tokens.

Shapes: `N` tokens of all texts, `D` width.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from models.ops.cuda_graphs import capture_stream, graph_size, record_graph
from models.ops.patterns import AttentionPattern
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTextBlocks
from models.text.ragged_batch import RaggedBatch

TextForward = Callable[[RaggedBatch, AttentionPattern], Tensor]
"""Returns the last hidden states, `[N, D]`, of texts (`TextModel.hidden`)."""

Forward = Callable[[Sequence[Tensor], Segments, AttentionPattern], Tensor]
"""Returns the last hidden states, `[N, D]`, of tokens. It is given several numbers of each token, one `[N]` for each
kind of number, and segments whose positions are those of the tokens in their texts."""

MAX_GRAPHS = 256
"""Maximum number of graphs that are kept for one model."""

MIN_SIZE = 16
"""Minimum number of tokens, and of blocks of them, that a graph is recorded for."""

N_BLOCK_ROWS = 3
"""Number of integers that describe a block of tokens (`Segments.block_table`)."""


class EncoderGraphs:
    """Records forward passes by the approximate numbers of tokens and of blocks that `block_attention` computes.

    A pass computes up to an eighth more tokens than there are, or up to `MIN_SIZE`. All graphs share their inputs,
    outputs and memory, so that they are replayed one after the other.

    Each token has several numbers as inputs, such as its id and its type. `padding` has the value of each of these for
    the tokens that fill a pass up.
    """

    def __init__(self, device: torch.device, *, causal: bool, padding: Sequence[int] = (0, 0)) -> None:
        self._causal, self._padding = causal, tuple(padding)
        self.capture_stream = capture_stream(device)
        self._pool: Any = None
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._inputs = torch.empty(0, dtype=torch.int32, device=device)
        self._outputs: Tensor | None = None
        self._last_stream: torch.cuda.Stream | None = None
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: object) -> Self:
        """Return an object without graphs, because those of this one run with the weights of its model."""
        return type(self)(self._inputs.device, causal=self._causal, padding=self._padding)

    def hidden(self, batch: RaggedBatch, forward: TextForward) -> Tensor:
        """Return the last hidden states, `[N, D]`, of texts whose ids are on the CPU."""

        def forward_row(inputs: Sequence[Tensor], segments: Segments, attend: AttentionPattern) -> Tensor:
            token_ids, type_ids = inputs
            return forward(RaggedBatch(token_ids, type_ids, segments, [0]), attend)

        return self.run(batch.host_ids, batch.segments, forward_row)

    def run(self, inputs: Sequence[Tensor], segments: Segments, forward: Forward) -> Tensor:
        """Return the last hidden states, `[N, D]`, of the tokens of texts.

        `inputs` are on the CPU, one `[N]` of integers for each value of `padding`.
        """
        blocks = segments.block_table
        n_tokens, n_blocks = sum(segments.lengths), blocks.shape[1]
        size = rounded(n_tokens), max(MIN_SIZE, graph_size(n_blocks))
        buffer = np.zeros(self._n_inputs(size), np.int32)
        token_rows = buffer[: -N_BLOCK_ROWS * size[1]].reshape(-1, size[0])
        block_rows = buffer[-N_BLOCK_ROWS * size[1] :].reshape(N_BLOCK_ROWS, -1)
        _, positions = segments.owners_and_positions
        for row, values in zip(token_rows, (*(values.numpy() for values in inputs), positions), strict=True):
            row[:n_tokens] = values
        for row, value in zip(token_rows, self._padding, strict=False):
            row[n_tokens:] = value
        block_rows[:, :n_blocks] = blocks
        return self._replay(torch.from_numpy(buffer).pin_memory(), size, n_tokens, forward)

    def _replay(self, buffer: Tensor, size: tuple[int, int], n_tokens: int, forward: Forward) -> Tensor:
        """Return the outputs of the first `n_tokens` tokens, `[N, D]`, of the graph of this size."""
        stream = torch.cuda.current_stream(self._inputs.device)
        with self._lock:
            if self._last_stream is not None and self._last_stream != stream:
                stream.wait_stream(self._last_stream)
            self._last_stream = stream
            self._make_room(size)
            self._inputs[: len(buffer)].copy_(buffer, non_blocking=True)
            graph = self._graphs.pop(size, None) or self._record(size, forward)
            graph.replay()
            self._graphs[size] = graph  # the first of the dictionary is the one unused for longest
            assert self._outputs is not None  # noqa: S101 it was made when a graph was recorded
            return self._outputs[:n_tokens].clone()  # before the next replay overwrites them

    def _n_inputs(self, size: tuple[int, int]) -> int:
        """Count the integers that a graph of this size reads: inputs and positions of tokens, then blocks."""
        n_tokens, n_blocks = size
        return (len(self._padding) + 1) * n_tokens + N_BLOCK_ROWS * n_blocks

    def _make_room(self, size: tuple[int, int]) -> None:
        """Make room for the inputs and outputs of this size, and drop the graphs that were recorded with less."""
        n_inputs = self._n_inputs(size)
        if n_inputs > len(self._inputs) or (self._outputs is not None and size[0] > len(self._outputs)):
            torch.cuda.current_stream(self._inputs.device).synchronize()  # freed memory may be used again at once
            self._graphs, self._outputs = {}, None
            self._inputs = _new_buffer(max(n_inputs, len(self._inputs)), like=self._inputs)
        if size not in self._graphs and len(self._graphs) == MAX_GRAPHS:
            del self._graphs[next(iter(self._graphs))]

    def _record(self, size: tuple[int, int], forward: Forward) -> torch.cuda.CUDAGraph:
        """Record a pass with the present inputs, which the runs before the recording read as well."""
        n_tokens, n_blocks = size
        end = self._n_inputs(size)
        *inputs, positions = self._inputs[: end - N_BLOCK_ROWS * n_blocks].view(-1, n_tokens)
        blocks = self._inputs[end - N_BLOCK_ROWS * n_blocks : end].view(N_BLOCK_ROWS, n_blocks)
        segments = Segments([n_tokens], positions.device)
        segments.positions = positions
        attend = WithinTextBlocks(blocks, causal=self._causal)

        def run() -> None:
            states = forward(inputs, segments, attend)
            if self._outputs is None:
                self._outputs = _new_buffer(n_tokens, like=states)
            self._outputs[:n_tokens].copy_(states)

        if not self._graphs:
            self._pool = torch.cuda.graph_pool_handle()  # a pool ends with the last graph that uses it
        graph, _ = record_graph(run, run, self.capture_stream, self._pool)
        return graph


def rounded(n: int) -> int:
    """Round up to a multiple of `MIN_SIZE` and of an eighth of the power of two below."""
    step = max(MIN_SIZE, 1 << max(0, (n - 1).bit_length() - 4))
    return -(-n // step) * step


def _new_buffer(n: int, *, like: Tensor) -> Tensor:
    """Return zeros with room for at least `n` rows. A tensor of inference mode could not be written outside of it."""
    with torch.inference_mode(mode=False):
        size = graph_size(n), *like.shape[1:]
        return torch.zeros(size, dtype=like.dtype, device=like.device)
