"""The server that a case attacks: start it, and watch what becomes of it and of its other clients."""

import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx
from typing_extensions import override

from benchmarks.lib.memory import MemoryGroup, resident_bytes
from benchmarks.lib.servers import Server, start_manifold
from benchmarks.server.hostile.case import AUTOENCODER, MAX_GROWTH, SETTLE_S, Case, CaseResult
from benchmarks.server.hostile.visitor import Visitor
from benchmarks.server.http_client import BlockingConnection
from benchmarks.server.metrics import Stalls
from benchmarks.server.probe import NEIGHBOUR, probing

WARM_UP_REQUESTS = 50
SAMPLE_S = 0.1
"""Time between two readings of the memory."""
AFTER_S = 1.0
"""Time for which the probes go on after the attack."""
GENTLE = (signal.SIGTERM, signal.SIGINT)
"""Signals by which a server ends properly; uvicorn raises the signal again once it has shut down."""
UNEXPECTED = ("unexpected error", "exception was never retrieved", "Exception ignored in")
"""What a log says of an error that the server did not foresee."""


class Target(Visitor):
    """A server that only the clients of a case and the probes use."""

    def __init__(self, case: Case, server: Server, group: MemoryGroup, folder: Path, log: Path) -> None:
        super().__init__(case, server.port)
        self._group, self.folder, self.log = group, folder, log
        self.server, self.process = server, server.process

    def wait(self, seconds: float) -> None:
        """Wait for the end of the server.

        Raises:
            TimeoutError: It runs after so many seconds.
        """
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the server runs after {seconds} s") from None

    @property
    def is_running(self) -> bool:
        """Return whether the server's process has not ended."""
        return self.process.poll() is None

    @override
    def within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        return super().within(seconds, lambda: not self.is_running or holds()) and self.is_running

    @override
    @contextmanager
    def watch(self, *, neighbour: bool = True) -> Iterator[None]:
        """Measure while the block attacks and until memory is given back, at most 30 s; `neighbour` or only `live`."""
        with suppress(OSError), BlockingConnection(self.port) as connection:
            for _ in range(WARM_UP_REQUESTS):
                connection.ask(NEIGHBOUR)
        result, process_id = self.result, self.server.process_id
        result.bytes_before, stalls_before = resident_bytes(process_id), self._stalls()
        with probing(self.port, ("live", "neighbour") if neighbour else ("live",)) as probes, self._peak_measured():
            started_at = time.monotonic()
            yield
            result.seconds = time.monotonic() - started_at
            attacked_until = time.monotonic()
            while self.is_running:
                result.bytes_after = resident_bytes(process_id)
                result.settled_after_s = time.monotonic() - attacked_until
                is_settled = result.bytes_after <= result.bytes_before * (1 + MAX_GROWTH)
                if result.settled_after_s >= SETTLE_S or (is_settled and result.settled_after_s >= AFTER_S):
                    break
                time.sleep(SAMPLE_S)
        result.probes = probes.results
        stall_ms = self._stalls().worst_ms_since(stalls_before)
        result.stall_ms = None if stall_ms is None else round(stall_ms, 1)

    def _stalls(self) -> Stalls:
        """Return how long the event loop has been held so far; nothing if the server does not say."""
        try:
            return Stalls.of(httpx.get(f"{self.server.url}/metrics", timeout=5).text)
        except httpx.HTTPError:
            return Stalls()

    @contextmanager
    def _peak_measured(self) -> Iterator[None]:
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(SAMPLE_S):
                self.result.bytes_peak = max(self.result.bytes_peak, resident_bytes(self.server.process_id))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """Note what can be read at the end: processes that were killed, and errors in the log."""
        result = self.result
        ended = self.process.poll()
        result.is_killed = self._group.n_killed > 0 or (ended is not None and ended < 0 and -ended not in GENTLE)
        lines = self.log.read_text(errors="replace").splitlines() if self.log.is_file() else []
        errors = Counter(phrase for line in lines for phrase in UNEXPECTED if phrase in line)
        for phrase, n in errors.items():
            self.require(False, f"the log has {n} lines with {phrase!r}")


def run_case(case: Case, group: MemoryGroup) -> CaseResult:
    """Start a server of its own for a case, attack it, and return what was measured.

    If the server does not start, or the attack itself fails, that is noted as a failure of the case.
    """
    result = CaseResult(name=case.name)
    try:
        with _started(case, group) as target:
            result = target.result
            try:
                case.attack(target)
            finally:
                target.close()
    except (OSError, RuntimeError, LookupError, TypeError) as error:  # of what a broken server answers
        result.failures.append(f"{type(error).__name__}: {error}")
    return result


@contextmanager
def _started(case: Case, group: MemoryGroup) -> Iterator[Target]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="manifold-hostile-")))
        temporary = folder / "tmp"
        temporary.mkdir()
        if case.folder_mb is not None:
            stack.enter_context(small_file_system(temporary, case.folder_mb))
        if case.make_files is not None:
            case.make_files(folder)
        log = folder / "log"
        output: int | IO[bytes] = stack.enter_context(log.open("wb")) if case.reads_log else subprocess.PIPE
        options = (option.replace("FOLDER", str(folder)) for option in case.options)
        models = ",".join((AUTOENCODER, *case.models))
        server = stack.enter_context(
            start_manifold(
                *("--log-level", "info", "--models", models, *options),
                environment={"TMPDIR": str(temporary)},
                prepare="\n".join(filter(None, (group.join_command, case.prepare))),
                output=output,
            )
        )
        if server.process.stdout is not None:
            stack.enter_context(server.process.stdout)
        yield Target(case, server, group, temporary, log)


@contextmanager
def small_file_system(folder: Path, size_mb: int) -> Iterator[None]:
    """Mount a file system of a size at a folder; where that is not allowed, the folder stays an ordinary one."""
    command = ("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "manifold-hostile", str(folder))
    is_mounted = subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603
    try:
        yield
    finally:
        if is_mounted:
            subprocess.run(("umount", "--lazy", str(folder)), check=False)  # noqa: S603 S607
