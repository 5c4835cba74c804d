"""Ask a server small questions at a steady rate, in a process of its own, while others mistreat it.

Each request is due at a time that was fixed beforehand, and its latency counts from then. Several connections take
turns, so that a request need not wait for the answer to the one before it, unless this is very late.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from benchmarks.lib.statistics import quantile
from benchmarks.server.http_client import LIVE, BlockingConnection, http_request

EVERY_S = 0.02
"""Time between two requests of a probe."""
N_CONNECTIONS = 8
"""Connections over which a probe sends its requests in turn."""
TIMEOUT_S = 60.0
PRIORITY = -10
"""Priority of the process, where it may set one: what is measured is the server, and not the wait for a processor."""
IMAGE_BODY = json.dumps({"model": "vanilla-ae-mnist", "inputs": [[0.0] * 784], "parameters": {"format": "png"}})
NEIGHBOUR = http_request("/reconstruct", IMAGE_BODY.encode(), {"content-type": "application/json"})
"""A request of the light neighbour."""
REQUESTS = {"live": LIVE, "neighbour": NEIGHBOUR}


@dataclass(frozen=True)
class Sample:
    """A request: when it was due (`time.monotonic`), the milliseconds to its answer, and its status; 0 without one."""

    due_at: float
    ms: float
    status: int


@dataclass(frozen=True)
class ProbeResult:
    """The requests of one probe. `late_ms` is the latest that this process itself sent one, for want of a processor."""

    samples: Sequence[Sample] = ()
    late_ms: float = 0.0

    @property
    def max_ms(self) -> float:
        """Return the latest answer; NaN without requests."""
        return max((sample.ms for sample in self.samples), default=float("nan"))

    @property
    def p99_ms(self) -> float:
        """Return the 99th percentile of the latencies; NaN without requests."""
        latencies = sorted(sample.ms for sample in self.samples)
        return quantile(latencies, 0.99) if latencies else float("nan")

    @property
    def n_failed(self) -> int:
        """Return how many requests had another answer than 200, or none."""
        return sum(sample.status != 200 for sample in self.samples)

    def without(self, spans: Sequence[tuple[float, float]]) -> "ProbeResult":
        """Return the requests that were due outside of all spans of time (`time.monotonic`)."""
        kept = [each for each in self.samples if not any(start <= each.due_at <= end for start, end in spans)]
        return ProbeResult(kept, self.late_ms)


@dataclass
class Probes:
    """Probes that run; `results` are complete after the block of `probing`."""

    results: dict[str, ProbeResult] = field(default_factory=dict)


@contextmanager
def probing(port: int, kinds: Sequence[str] = tuple(REQUESTS)) -> Iterator[Probes]:
    """Send the requests of some kinds to a port until the block ends.

    Raises:
        RuntimeError: The process of the probes failed.
    """
    probes = Probes()
    command = (sys.executable, "-m", "benchmarks.server.probe", str(port), *kinds)
    process = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _pipe(process.stdout).readline()  # it is ready
        yield probes
        output, _ = process.communicate()
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"the process of the probes ended with status {process.returncode}")
    for kind, found in json.loads(output).items():
        probes.results[kind] = ProbeResult([Sample(*each) for each in found["samples"]], found["late_ms"])


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process of the probes has no pipes")
    return pipe


class ProbeConnection(threading.Thread):
    """Sends every one in `N_CONNECTIONS` of a probe's requests over one connection; connects again when it breaks.

    Attributes:
        due_at: when the next request is due.
        samples: when each request was due, the milliseconds to its answer, and its status.
        late_ms: the latest that a request was sent, for want of a processor.
    """

    def __init__(self, port: int, request: bytes, stopped: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port, self._request, self._stopped = port, request, stopped
        self.due_at = 0.0
        self._connection: BlockingConnection | None = None
        self.samples: list[tuple[float, float, int]] = []
        self.late_ms = 0.0

    def run(self) -> None:
        """Send requests until all probes are stopped."""
        while True:
            pause = self.due_at - time.monotonic()
            if pause > 0:
                time.sleep(pause)
                self.late_ms = max(self.late_ms, (time.monotonic() - self.due_at) * 1000)
            if self._stopped.is_set():
                return
            status = self._ask(self._request)
            self.samples.append((self.due_at, (time.monotonic() - self.due_at) * 1000, status))
            self.due_at += EVERY_S * N_CONNECTIONS

    def connect(self) -> None:
        """Connect and send a first request, so that the server knows this client."""
        self._ask(NEIGHBOUR)

    def _ask(self, request: bytes) -> int:
        """Send a request, and return the status of its answer; 0 without one.

        A server may close a connection that is not in use; then the request is sent again over a new one.
        """
        for _ in range(1 if self._connection is None else 2):
            try:
                if self._connection is None:
                    self._connection = BlockingConnection(self._port, timeout_s=TIMEOUT_S)
                return self._connection.ask(request).status
            except OSError:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
        return 0


def main(port: int, kinds: Sequence[str]) -> None:
    """Probe until the standard input ends, then print what was measured as JSON."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    stopped = threading.Event()
    probes = {kind: [ProbeConnection(port, REQUESTS[kind], stopped) for _ in range(N_CONNECTIONS)] for kind in kinds}
    connections = [connection for probe in probes.values() for connection in probe]
    for connection in connections:
        connection.connect()
    started_at = time.monotonic()
    for probe in probes.values():
        for number, connection in enumerate(probe, start=1):
            connection.due_at = started_at + number * EVERY_S
            connection.start()
    _print("ready")
    sys.stdin.read()
    stopped.set()
    for connection in connections:
        connection.join()
    _print(json.dumps({kind: _results_of(probe) for kind, probe in probes.items()}))


def _results_of(probe: Sequence[ProbeConnection]) -> dict[str, Any]:
    samples = sorted(sample for connection in probe for sample in connection.samples)
    rounded = [(round(due_at, 4), round(ms, 2), status) for due_at, ms, status in samples]
    return {"samples": rounded, "late_ms": round(max(connection.late_ms for connection in probe), 2)}


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
