"""CUDA graphs: operations on a GPU that are recorded once, and launched together from then on.

A forward pass has a hundred operations and more. Unless there are thousands of tokens, the processor takes longer to
launch each of them than the GPU takes to compute it, and each launch releases the interpreter lock.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from models.ops import triton

OutputT = TypeVar("OutputT")

N_WARM_UP_RUNS = 2
"""Number of runs before a recording, in which libraries allocate memory and choose algorithms."""


graph_size = triton.next_power_of_2
"""Returns the number of rows that a graph for n rows is recorded with."""

_recording = threading.Lock()


def uses_cuda_graphs(device: torch.device) -> bool:
    """Return whether forward passes on this device are recorded; those that compute gradients never are."""
    return device.type == "cuda" and triton.unavailable_reason() is None and not torch.is_grad_enabled()


def capture_stream(device: torch.device) -> torch.cuda.Stream:
    """Return a stream to record on, and for nothing else: a recording has everything that is launched on its stream.

    Torch has 32 streams of each priority and gives them out in turn. No model computes on one of this priority.
    """
    return torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


def record_graph(
    warm_up: Callable[[], object], run: Callable[[], OutputT], stream: torch.cuda.Stream, pool: Any = None
) -> tuple[torch.cuda.CUDAGraph, OutputT]:
    """Record what `run` launches; return the graph, and what `run` returned, whose tensors change with each replay.

    Args:
        warm_up: launches the same operations, and is called `N_WARM_UP_RUNS` times before.
        run: launches the operations to record.
        stream: is used for nothing else (`capture_stream`).
        pool: memory that the graph shares with the others of the pool; its own if None.
    """
    graph = torch.cuda.CUDAGraph()
    before = torch.cuda.current_stream(stream.device)
    stream.wait_stream(before)
    with _recording, torch.cuda.stream(stream):
        for _ in range(N_WARM_UP_RUNS):
            warm_up()
        stream.synchronize()
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")  # other threads may launch meanwhile
        try:
            outputs = run()
        finally:
            graph.capture_end()
    before.wait_stream(stream)
    return graph, outputs
