"""Run the soak: start the server, its clients, the probes, the hostile clients and the faults, and watch them."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from benchmarks.lib.memory import memory_group, resident_bytes
from benchmarks.lib.servers import Server, start_server
from benchmarks.server.hostile.target import UNEXPECTED, small_file_system
from benchmarks.server.metrics import Stalls, n_unfinished
from benchmarks.server.probe import ProbeResult, probing
from benchmarks.server.soak.chaos_server import PLANT_VARIABLE, SOCKET_VARIABLE
from benchmarks.server.soak.clients import Crowd, learn
from benchmarks.server.soak.faults import FaultSchedule, Injection, LogPipe, Site
from benchmarks.server.soak.ledger import Ledger
from benchmarks.server.soak.requests import pool_of

WEIGHTS = Path(__file__).parents[3] / "weights"
SAMPLE_S, SCRAPE_S = 1.0, 5.0
MAX_REST_S = 40.0
"""Longest wait until nothing is unfinished."""
TEMPORARY_MB = 64


@dataclass(frozen=True, kw_only=True)
class SoakSettings:
    """How much is sent, and what is done to the server meanwhile.

    Attributes:
        n_requests: requests of the clients.
        n_warm: requests before the first reading of the memory.
        n_clients: clients that each send a request at a time.
        fault_every_s: time between two faults; 0 for none.
        attack_every_s: time between two hostile cases; 0 for none.
        memory_bytes: memory that the server may have.
        answer_timeout_s: time after which an answer counts as lost.
        n_readings: readings of the resting server after the first.
        rest_s: time for which the memory of the resting server is read.
        planted: the fault that is planted in the server, for a control.
        models: names of the models, separated by commas; all where empty.
    """

    n_requests: int
    n_warm: int
    n_clients: int = 32
    fault_every_s: float = 45.0
    attack_every_s: float = 5.0
    memory_bytes: int = 4 * 2**30
    answer_timeout_s: float = 60.0
    n_readings: int = 10
    rest_s: float = 3.0
    planted: str = ""
    models: str = ""


@dataclass(frozen=True)
class Reading:
    """The server at rest: after how many requests, its resident memory, and what it has not finished."""

    n_requests: int
    resident_bytes: int
    n_unfinished: float


@dataclass
class SoakResult:
    """Everything that was seen. Times are of `time.monotonic`."""

    settings: SoakSettings
    ledger: Ledger
    started_at: float = 0.0
    ended_at: float = 0.0
    memory_kind: str = ""
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    """Times, the requests that were sent by then, and resident memory in bytes."""
    stalls: list[tuple[float, float]] = field(default_factory=list)
    """Times, and the longest stall of the event loop in milliseconds since the time before."""
    readings: list[Reading] = field(default_factory=list)
    injections: list[Injection] = field(default_factory=list)
    stopped_spans: list[tuple[float, float]] = field(default_factory=list)
    probes: Mapping[str, ProbeResult] = field(default_factory=dict)
    attacks: list[tuple[str, float, float, dict[str, int]]] = field(default_factory=list)
    n_log_errors: int = 0
    is_alive: bool = True
    is_ready: bool = False


class Rest:
    """Brings all clients to rest and lets them go on; the hostile clients run in a process of their own."""

    def __init__(self, crowd: Crowd, rogue: asyncio.subprocess.Process | None) -> None:
        self._crowd, self._rogue = crowd, rogue

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Hold all clients while the block runs."""
        async with self.attacks_paused():
            await self._crowd.pause()
            try:
                yield
            finally:
                self._crowd.resume()

    @asynccontextmanager
    async def attacks_paused(self) -> AsyncIterator[None]:
        """Hold the hostile clients while the block runs."""
        await self._tell("pause")
        try:
            yield
        finally:
            await self._tell("resume")

    async def _tell(self, word: str) -> None:
        if self._rogue is None or self._rogue.stdin is None or self._rogue.stdout is None:
            return
        self._rogue.stdin.write(f"{word}\n".encode())
        await self._rogue.stdin.drain()
        if word == "pause":
            await self._rogue.stdout.readline()


class Soak:
    """One run against a running server."""

    def __init__(self, settings: SoakSettings, site: Site, on_request: Callable[[int], object]) -> None:
        self._settings, self._site, self._on_request = settings, site, on_request
        self._faults = FaultSchedule(site, settings.fault_every_s)
        self.result = SoakResult(settings, Ledger(self._faults.excuses))
        self._http = httpx.AsyncClient(base_url=site.url, timeout=60.0)

    async def run(self) -> SoakResult:
        """Learn the right answers, send all requests, and look at the server at the end."""
        settings, result = self._settings, self.result
        self._site.log.start()
        async with self._http:
            openapi = (await self._http.get("/openapi.json")).json()
            cards = [card for card in (await self._http.get("/models")).json()["models"] if card["state"] == "ready"]
            pool = pool_of(openapi, cards, examples=not settings.models)
            mixture, expectations = await learn(self._site.port, pool, settings.n_clients)
            crowd = Crowd(
                self._site.port,
                mixture,
                expectations,
                result.ledger,
                n_requests=settings.n_requests,
                answer_timeout_s=settings.answer_timeout_s,
                on_request=self._on_request,
            )
            with probing(self._site.port) as probes:
                result.started_at = time.monotonic()
                try:
                    await self._send(crowd)
                finally:
                    result.ended_at = time.monotonic()
            result.probes = probes.results
            with suppress(httpx.HTTPError):
                result.is_ready = (await self._http.get("/health/ready")).status_code == 200
        self._site.log.stop()
        result.injections, result.stopped_spans = self._faults.injections, list(self._faults.stopped_spans())
        return result

    async def _send(self, crowd: Crowd) -> None:
        """Send all requests, with everything else beside them, and take readings of the server at rest."""
        async with self._rogue_running() as rogue:
            rest = Rest(crowd, rogue)
            self._faults.attacks_paused = rest.attacks_paused
            beside = [asyncio.create_task(self._sample(crowd)), asyncio.create_task(self._scrape())]
            if self._settings.fault_every_s:
                beside.append(asyncio.create_task(self._faults.run()))
            clients = [asyncio.create_task(crowd.send_all(number)) for number in range(self._settings.n_clients)]
            try:
                await self._take_readings(crowd, rest)
                await asyncio.gather(*clients)
            except asyncio.CancelledError:  # Ctrl-C: what there is so far is reported
                crowd.stop()
                await asyncio.gather(*clients)
            async with self._faults.lock:
                for task in beside:
                    task.cancel()
            async with rest():
                await self._read_at_rest()

    async def _take_readings(self, crowd: Crowd, rest: Rest) -> None:
        """Take a reading when the server is warm, and further ones at equal distances to the end."""
        settings = self._settings
        step = max(1, (settings.n_requests - settings.n_warm) // settings.n_readings)
        for due in range(settings.n_warm, settings.n_requests, step):
            while self.result.ledger.n_sent < due and not crowd.is_done:
                await asyncio.sleep(0.1)
            if crowd.is_done:
                return
            async with self._faults.lock, rest():
                await self._read_at_rest()

    async def _read_at_rest(self) -> None:
        """Wait until nothing is unfinished, then note the least memory that the server takes for a while."""
        deadline = time.monotonic() + MAX_REST_S
        while (left := n_unfinished(await self._metrics())) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        least = resident_bytes(self._site.process_id)
        until = time.monotonic() + self._settings.rest_s
        while time.monotonic() < until:
            await asyncio.sleep(0.2)
            least = min(least, resident_bytes(self._site.process_id))
        self.result.readings.append(Reading(self.result.ledger.n_sent, least, left))

    async def _metrics(self) -> str:
        try:
            return (await self._http.get("/metrics")).text
        except httpx.HTTPError:
            return ""

    async def _sample(self, crowd: Crowd) -> None:
        """Note the memory every second, and stop the clients if the server has died."""
        while True:
            n_bytes = resident_bytes(self._site.process_id)
            self.result.samples.append((time.monotonic(), self.result.ledger.n_sent, n_bytes))
            if not n_bytes or _is_dead(self._site.process_id):
                self.result.is_alive = False
                crowd.stop()
                return
            await asyncio.sleep(SAMPLE_S)

    async def _scrape(self) -> None:
        """Note every few seconds how long the event loop was held since the time before."""
        earlier = Stalls.of(await self._metrics())
        while True:
            await asyncio.sleep(SCRAPE_S)
            stalls = Stalls.of(await self._metrics())
            stall_ms = stalls.worst_ms_since(earlier)
            if stall_ms is not None:
                self.result.stalls.append((time.monotonic(), stall_ms))
                earlier = stalls

    @asynccontextmanager
    async def _rogue_running(self) -> AsyncIterator[asyncio.subprocess.Process | None]:
        """Let a process attack the server until the block ends, and note what it was answered."""
        if not self._settings.attack_every_s:
            yield None
            return
        arguments = (str(self._site.port), str(self._settings.attack_every_s), "1")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.server.soak.rogue", *arguments),
            stdin=pipe,
            stdout=pipe,
            start_new_session=True,
        )
        try:
            yield process
            if process.stdin is not None:
                process.stdin.close()  # by which it ends; `communicate` closes it from Python 3.12 on
            output, _ = await process.communicate()
            self.result.attacks = [tuple(attack) for attack in json.loads(output.splitlines()[-1])]
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def _is_dead(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def started_site(settings: SoakSettings) -> Iterator[tuple[Site, Server]]:
    """Start a server that can be hurt, with a copy of all checkpoints, in limited memory."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="manifold-soak-")))
        temporary = folder / "tmp"
        temporary.mkdir()
        stack.enter_context(small_file_system(temporary, TEMPORARY_MB))
        weights = folder / "weights"
        shutil.copytree(WEIGHTS, weights)
        group = stack.enter_context(memory_group(settings.memory_bytes))
        read_end, write_end = os.pipe()
        stack.callback(os.close, read_end)
        chaos_socket = str(folder / "chaos")
        models = ("--models", settings.models) if settings.models else ()
        variables = {SOCKET_VARIABLE: chaos_socket, PLANT_VARIABLE: settings.planted, "TMPDIR": str(temporary)}
        command = ("-m", "benchmarks.server.soak.chaos_server", "serve", "--weights-dir", str(weights), *models)
        started = start_server(
            *command, "--log-level", "info", environment=variables, prepare=group.join_command, output=write_end
        )
        server = stack.enter_context(_closing_after(started, write_end))
        site = Site(
            port=server.port,
            process_id=server.process_id,
            chaos_socket=chaos_socket,
            group=group,
            temporary=temporary,
            weights=weights,
            log=LogPipe(folder / "log", read_end),
        )
        yield site, server


@contextmanager
def _closing_after(started: AbstractContextManager[Server], write_end: int) -> Iterator[Server]:
    """Close our end of the log's pipe once the server has it, so that the pipe ends with the server."""
    with started as server:
        os.close(write_end)
        yield server


def count_log_errors(path: Path) -> int:
    """Return how many lines of a log tell of errors that the server did not foresee."""
    if not path.is_file():
        return 0
    with path.open(errors="replace") as lines:
        return sum(any(phrase in line for phrase in UNEXPECTED) for line in lines)
