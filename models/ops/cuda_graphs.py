"""Placeholder: to be described."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from models.ops import triton

OutputT = TypeVar("OutputT")


N_REHEARSALS = 2


def are_recorded(device: torch.device) -> bool:
    """Whether passes and steps are, there; what is learnt through is not."""
    return device.type == "cuda" and triton.unavailable_reason() is None and not torch.is_grad_enabled()


def capture_stream(device: torch.device) -> torch.cuda.Stream:
    """To record on, and for nothing else: what others launched there would become part of the recording.

    Torch has 32 streams of a priority, and gives them out again and again; no model computes on one of this.
    """
    return torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


def graph_size(n: int) -> int:
    """Return the number of rows that a graph for n rows is recorded with: the next power of two."""
    return triton.next_power_of_2(n)


_recording = threading.Lock()


def record_graph(
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
