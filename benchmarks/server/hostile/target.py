"""The server that a case attacks: sends it requests, and watches what becomes of it and of its other clients."""

import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx
import orjson

from benchmarks.lib.memory import MemoryGroup, resident_bytes
from benchmarks.lib.servers import Server, start_manifold
from benchmarks.server.hostile.case import AUTOENCODER, MAX_GROWTH, SETTLE_S, TIME_LIMIT, UNAVAILABLE, Case, CaseResult
from benchmarks.server.http_client import Answer, BlockingConnection, http_request
from benchmarks.server.metrics import worst_stall_ms
from benchmarks.server.probe import NEIGHBOUR, probing
from benchmarks.server.requests import JSON_TYPE

WARM_UP_REQUESTS = 50
SAMPLE_S = 0.1
"""Time between two readings of the memory."""
AFTER_S = 1.0
"""Time for which the probes go on after the attack."""
ANSWER_TIMEOUT_S = 120.0
NO_ANSWER = 0
UNEXPECTED = ("unexpected error", "Traceback (most recent call last)", "exception was never retrieved")
"""What a log says of an error that the server did not foresee."""


class Target:
    """A running server. Answers to `ask` are counted by their status; `require` states what else a case demands."""

    def __init__(self, case: Case, server: Server, group: MemoryGroup, folder: Path, log: Path) -> None:
        self._case, self._group, self.folder, self.log = case, group, folder, log
        self.server, self.port, self.process = server, server.port, server.process
        self._lock = threading.Lock()
        self.result = CaseResult(name=case.name)

    def ask(self, request: bytes, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer | None:
        """Send a request over a connection of its own; None if no answer comes."""
        answer = None
        with suppress(OSError, ValueError), BlockingConnection(self.port, timeout_s=timeout_s) as connection:
            answer = connection.ask(request)
        self.count(answer)
        return answer

    def ask_json(self, path: str, body: Any, *, timeout_s: float = ANSWER_TIMEOUT_S, **headers: str) -> tuple[int, Any]:
        """Send a body as JSON, and return the status and the content of the answer; status 0 without one."""
        answer = self.ask(json_request(path, body, **headers), timeout_s=timeout_s)
        if answer is None:
            return NO_ANSWER, None
        return answer.status, orjson.loads(answer.body) if answer.body.startswith((b"{", b"[")) else answer.body

    def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the content of a JSON answer to GET; status 0 without one."""
        answer = self.ask(http_request(path, method="GET"))
        if answer is None:
            return NO_ANSWER, None
        return answer.status, orjson.loads(answer.body)

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Call functions at the same time, each on a thread, and return what they return, in order."""
        results: list[Any] = [None] * len(calls)

        def call(number: int) -> None:
            results[number] = calls[number]()

        threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def count(self, answer: Answer | None) -> None:
        """Count an answer by its status; none counts as 0."""
        status = NO_ANSWER if answer is None else answer.status
        allowed = {TIME_LIMIT, *([UNAVAILABLE] if self._case.unavailable else [])}
        with self._lock:
            self.result.statuses[status] += 1
            if status >= 500 and status not in allowed:
                self.result.unexpected_statuses[status] += 1

    def require(self, holds: bool, sentence: str) -> None:
        """Note a sentence as a failure of the case unless it holds."""
        if not holds:
            self.result.failures.append(sentence)

    def within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        """Return whether something becomes true within a time."""
        deadline = time.monotonic() + seconds
        while not (found := self.is_running and holds()) and time.monotonic() < deadline:
            time.sleep(SAMPLE_S)
        return found

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

    @contextmanager
    def watch(self, *, neighbour: bool = True) -> Iterator[None]:
        """Measure while the block attacks and until memory is given back, at most 30 s; `neighbour` or only `live`."""
        with suppress(OSError), BlockingConnection(self.port) as connection:
            for _ in range(WARM_UP_REQUESTS):
                connection.ask(NEIGHBOUR)
        result, process_id = self.result, self.server.process_id
        result.bytes_before = resident_bytes(process_id)
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
        """Note what can be read at the end: the loop's stall, processes killed, and errors in the log."""
        result = self.result
        with suppress(httpx.HTTPError):
            result.stall_ms = worst_stall_ms(httpx.get(f"{self.server.url}/metrics", timeout=5).text)
        ended = self.process.poll()
        result.is_killed = self._group.n_killed > 0 or (ended is not None and ended < 0)
        lines = self.log.read_text(errors="replace").splitlines() if self.log.is_file() else []
        errors = Counter(phrase for line in lines for phrase in UNEXPECTED if phrase in line)
        for phrase, n in errors.items():
            self.require(False, f"the log has {n} lines with {phrase!r}")


def json_request(path: str, body: Any, **headers: str) -> bytes:
    """Return a request with a body of JSON; bytes are sent as they are. Headers are named with underscores."""
    content = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_request(path, content, {"content-type": JSON_TYPE, **named})


def run_case(case: Case, group: MemoryGroup) -> CaseResult:
    """Start a server of its own for a case, attack it, and return what was measured."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="manifold-hostile-")))
        temporary = folder / "tmp"
        temporary.mkdir()
        if case.folder_mb is not None:
            stack.enter_context(_small_file_system(temporary, case.folder_mb))
        log = folder / "log"
        output: int | IO[bytes] = stack.enter_context(log.open("wb")) if case.reads_log else subprocess.PIPE
        if case.make_files is not None:
            case.make_files(folder)
        server = stack.enter_context(
            start_manifold(
                "--log-level",
                "info",
                "--models",
                ",".join((AUTOENCODER, *case.models)),
                *(option.replace("FOLDER", str(folder)) for option in case.options),
                environment={"TMPDIR": str(temporary)},
                prepare="\n".join(filter(None, (group.join_command, case.prepare))),
                output=output,
            )
        )
        target = Target(case, server, group, temporary, log)
        try:
            case.attack(target)
        finally:
            target.close()
        return target.result


@contextmanager
def _small_file_system(folder: Path, size_mb: int) -> Iterator[None]:
    """Mount a file system of a size at a folder; where that is not allowed, the folder stays an ordinary one."""
    command = ("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "manifold-hostile", str(folder))
    is_mounted = subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603
    try:
        yield
    finally:
        if is_mounted:
            subprocess.run(("umount", "--lazy", str(folder)), check=False)  # noqa: S603 S607
