"""Ask a server small questions at a steady rate, in a process of its own, while others mistreat it.

Each request is due at a time that was fixed beforehand. Its latency counts from then, so that requests which had to
wait for a late answer count as late themselves.
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


class Probe(threading.Thread):
    """Sends one request again and again over one connection; connects again when it breaks."""

    def __init__(self, port: int, request: bytes, stopped: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port, self._request, self._stopped = port, request, stopped
        self._connection: BlockingConnection | None = None
        self.samples: list[tuple[float, float, int]] = []
        self.late_ms = 0.0

    def run(self) -> None:
        """Send requests until all probes are stopped."""
        due_at = time.monotonic()
        while not self._stopped.is_set():
            due_at += EVERY_S
            pause = due_at - time.monotonic()
            if pause > 0:
                time.sleep(pause)
                self.late_ms = max(self.late_ms, (time.monotonic() - due_at) * 1000)
            status = self._ask()
            self.samples.append((due_at, (time.monotonic() - due_at) * 1000, status))

    def _ask(self) -> int:
        try:
            if self._connection is None:
                self._connection = BlockingConnection(self._port, timeout_s=TIMEOUT_S)
            return self._connection.ask(self._request).status
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
    probes = {kind: Probe(port, REQUESTS[kind], stopped) for kind in kinds}
    for probe in probes.values():
        probe.start()
    _print("ready")
    sys.stdin.read()
    stopped.set()
    for probe in probes.values():
        probe.join()
    _print(json.dumps({kind: _results_of(probe) for kind, probe in probes.items()}))


def _results_of(probe: Probe) -> dict[str, Any]:
    samples = [(round(due_at, 4), round(ms, 2), status) for due_at, ms, status in probe.samples]
    return {"samples": samples, "late_ms": round(probe.late_ms, 2)}


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
