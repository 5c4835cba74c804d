"""Define what `manifold bench compare` measures: each workload measures a server in short bursts.

Servers are known by the options of `manifold serve` and by their HTTP routes alone, so that any two versions compare.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import uvloop
from typing_extensions import override

from benchmarks.lib.processor import processor_time_with_children
from benchmarks.lib.servers import Server
from benchmarks.server.load import LoadResult, open_loop, run_closed_loop
from benchmarks.server.requests import (
    AUTOENCODER,
    ENCODER,
    encode_request,
    reconstruct_json_request,
    reconstruct_npy_request,
)

WARM_UP_S = 2.0


class Workload(ABC):
    """Requests to a server, and the quantity that is compared."""

    unit: str
    """Unit of the quantity, in words joined by underscores."""
    serve_options: tuple[str, ...]
    """Options of `manifold serve`."""

    @abstractmethod
    def measure(self, server: Server, seconds: float) -> float:
        """Return the quantity as measured in a burst of so many seconds.

        Raises:
            RuntimeError: A request failed.
        """

    def warm_up(self, server: Server) -> None:
        """Send requests that do not count; called once for each server, and for one of the old side first."""
        self.measure(server, WARM_UP_S)


class Throughput(Workload):
    """Requests a second, where each connection sends its next request when its last answer has arrived."""

    unit = "requests_per_second"

    def __init__(self, model: str, request: bytes, n_connections: int) -> None:
        self.serve_options = ("--models", model)
        self._request, self._n_connections = request, n_connections

    @override
    def measure(self, server: Server, seconds: float) -> float:
        return self._load(server, seconds).requests_per_second

    def _load(self, server: Server, seconds: float) -> LoadResult:
        result = run_closed_loop(server.port, self._request, n_connections=self._n_connections, seconds=seconds)
        if result.n_failed or not result.n_ok:
            raise RuntimeError(f"{result.n_failed} of {result.n_ok + result.n_failed} requests failed")
        return result


class ProcessorTime(Throughput):
    """Milliseconds of the server's processor time for each request; less is better.

    One thread of torch, because its threads spin while they wait for work.
    """

    unit = "processor_ms_per_request"

    def __init__(self, model: str, request: bytes, n_connections: int) -> None:
        super().__init__(model, request, n_connections)
        self.serve_options += ("--torch-threads", "1")

    @override
    def measure(self, server: Server, seconds: float) -> float:
        before = processor_time_with_children(server.process_id)
        n_requests = self._load(server, seconds).n_ok
        spent_s = processor_time_with_children(server.process_id) - before
        if not spent_s:
            raise RuntimeError("the burst was too short for the clock of processor time")
        return 1000 * spent_s / n_requests


class Overload(Workload):
    """Good answers a second while ten times as many requests arrive as the old side can answer.

    The same rate is sent to both sides. The texts and the model are those of `manifold bench overload`.
    """

    unit = "good_answers_per_second"
    n_texts, n_peak_connections, n_connections, max_queue_items, factor = 2000, 64, 1500, 64, 10.0

    def __init__(self, folder: Path) -> None:
        from benchmarks.lib.checkpoints import write_checkpoint  # imports torch, which other workloads do without
        from benchmarks.lib.texts import random_texts, text_lengths

        checkpoint = write_checkpoint("minilm", folder / "minilm")
        limit = str(self.max_queue_items)
        limits = ("--max-queue-items", limit, "--max-items", limit)
        self.serve_options = ("--models", "minilm", "--model", f"minilm={checkpoint}", "--dtype", "bfloat16", *limits)
        self._requests = [encode_request("minilm", text) for text in random_texts(text_lengths(self.n_texts))]
        self._rate: float | None = None

    @override
    def warm_up(self, server: Server) -> None:
        peak = self._good_per_second(server, WARM_UP_S, self.n_peak_connections, None)
        if self._rate is None:
            peak = self._good_per_second(server, WARM_UP_S, self.n_peak_connections, None)  # now of a warm server
            self._rate = self.factor * peak

    @override
    def measure(self, server: Server, seconds: float) -> float:
        return self._good_per_second(server, seconds, self.n_connections, self._rate)

    def _good_per_second(self, server: Server, seconds: float, n_connections: int, rate: float | None) -> float:
        load = open_loop(server.port, self._requests, n_connections=n_connections, rate=rate, seconds=seconds)
        result = uvloop.run(load)
        unexpected = result.n_by_status.keys() - {200, 429}
        if unexpected or result.n_broken_connections or not result.good_at:
            statuses = dict(result.n_by_status)
            raise RuntimeError(f"answers by status {statuses}; {result.n_broken_connections} broken connections")
        return result.good_per_second


WORKLOADS: dict[str, Callable[[Path, int], Workload]] = {
    "json": lambda folder, n_connections: Throughput(AUTOENCODER, reconstruct_json_request(), n_connections),
    "npy": lambda folder, n_connections: Throughput(AUTOENCODER, reconstruct_npy_request(), n_connections),
    "encode": lambda folder, n_connections: Throughput(ENCODER, encode_request(), n_connections),
    "costs": lambda folder, n_connections: ProcessorTime(ENCODER, encode_request(), n_connections),
    "overload": lambda folder, n_connections: Overload(folder),
}
"""By name; given a folder for temporary files and the number of connections."""
