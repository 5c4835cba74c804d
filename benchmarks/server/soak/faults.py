"""Inject faults into a server while it is used, one at a time, and remember what each of them excuses."""

import asyncio
import math
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from benchmarks.lib.memory import MemoryGroup, resident_bytes
from benchmarks.server.http_client import HOST, LIVE
from benchmarks.server.soak.chaos_server import command
from benchmarks.server.soak.requests import SoakRequest

DAMAGED_MODEL = "conv-ae-colour"
"""The model whose checkpoint is damaged."""
KILLED_MODELS = ("vanilla-ae-mnist", "sentence-mini-en", "gpt-mini-en")
CLOCK_JUMPS_S = (3600.0, -3600.0, 10.0 * 365 * 86400, 0.0)
SQUEEZE_S, FULL_S, UNREAD_S, STOPPED_S = 5.0, 5.0, 5.0, 2.0
SQUEEZED_SPARE = 300 * 2**20
"""Memory in bytes that a squeezed server may have more than it takes."""
N_HANG_UPS, N_VISITORS = 20, 500
RECOVERY_S = 3.0
"""Time after a fault that it still excuses, and in which latencies are not judged if it stops the process."""
UNAVAILABLE = frozenset({500, 503})
RECOVERED_WITHIN_S = 30.0


class FaultFailed(Exception):
    """Error: a fault did not have the effect that it is there for, or the server did not recover from it."""


class LogPipe:
    """The pipe into which the server logs, and the file to which that is copied."""

    def __init__(self, path: Path, pipe: int) -> None:
        self.path, self._pipe = path, pipe
        os.set_blocking(pipe, False)

    def start(self) -> None:
        """Copy what the server logs whenever the event loop sees some."""
        asyncio.get_running_loop().add_reader(self._pipe, self._copy)

    def stop(self) -> None:
        """Read no more, so that the pipe fills."""
        asyncio.get_running_loop().remove_reader(self._pipe)

    def _copy(self) -> None:
        data = os.read(self._pipe, 2**18)
        if not data:
            self.stop()
            return
        with self.path.open("ab") as log:
            log.write(data)


@dataclass(frozen=True, kw_only=True)
class Site:
    """All that a fault may touch: the server, its memory, its temporary files, its checkpoints, its log."""

    port: int
    process_id: int
    chaos_socket: str
    group: MemoryGroup
    temporary: Path
    weights: Path
    log: LogPipe

    @property
    def url(self) -> str:
        """Return the URL of the root, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    async def post(self, path: str) -> int:
        """Return the status of a request without a body."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60.0) as client:
            return (await client.post(path)).status_code

    async def is_ready(self, model: str) -> bool:
        """Return whether a model is ready."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60.0) as client:
            return bool((await client.get(f"/models/{model}")).json().get("state") == "ready")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of fault.

    Attributes:
        inject: injects it, waits until the server has recovered, and returns what happened, in words.
        statuses: what it excuses; 0 stands for a missing answer.
        models: the models that it concerns, one at a time; all where empty.
        without_attacks: whether no hostile case may run meanwhile.
        stops_process: whether latencies meanwhile are those of a process that does not run.
    """

    inject: "Callable[[Site, int], Awaitable[str]]"
    statuses: frozenset[int] = frozenset()
    models: Sequence[str] = ()
    without_attacks: bool = False
    stops_process: bool = False


@dataclass
class Injection:
    """A fault that was injected: when (`time.monotonic`), the how many-th of its kind, and what happened."""

    name: str
    fault: Fault
    started_at: float
    ended_at: float = math.inf
    number: int = 0
    note: str = ""
    failed: bool = False

    @property
    def model(self) -> str | None:
        """Return the model that it concerns; None if it is all."""
        models = self.fault.models
        return models[self.number % len(models)] if models else None


async def _kill_worker(site: Site, number: int) -> str:
    model = KILLED_MODELS[number % len(KILLED_MODELS)]
    before = await _restarts_of(site, model)
    if not await command(site.chaos_socket, "kill", model):
        raise FaultFailed(f"{model} has no worker")
    deadline = time.monotonic() + RECOVERED_WITHIN_S
    while await _restarts_of(site, model) == before or not await site.is_ready(model):
        if time.monotonic() > deadline:
            raise FaultFailed(f"{model} has no new worker after {RECOVERED_WITHIN_S:g} s")
        await asyncio.sleep(0.1)
    return f"a worker of {model}"


async def _restarts_of(site: Site, model: str) -> float:
    async with httpx.AsyncClient(base_url=site.url, timeout=60.0) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    prefix = f'manifold_worker_restarts_total{{model="{model}"}} '
    return next((float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)), 0.0)


async def _jump_clock(site: Site, number: int) -> str:
    seconds = CLOCK_JUMPS_S[number % len(CLOCK_JUMPS_S)]
    if not await command(site.chaos_socket, "clock", seconds):
        raise FaultFailed("the clock cannot be moved")
    await asyncio.sleep(1.0)
    return f"to {seconds:+,.0f} s"


async def _fill_disk(site: Site, number: int) -> str:
    path = site.temporary / "full"
    size = 0
    try:
        with suppress(OSError), path.open("wb", buffering=0) as file:
            while size < 2**30:  # where the folder is no small file system
                size += file.write(bytes(2**20))
        await asyncio.sleep(FULL_S)
    finally:
        path.unlink(missing_ok=True)
    return f"{size / 1e6:.0f} MB of temporary files"


async def _damage_checkpoint(site: Site, number: int) -> str:
    """Overwrite the weights of a loaded model in place; then unload it, try to load it, restore it and load it."""
    folder = next(site.weights.glob(f"*/*/{DAMAGED_MODEL}"))
    path = next(folder.glob("*.safetensors")) if number % 2 == 0 else folder / "config.json"
    content = path.read_bytes()
    try:
        _overwrite(path, content[: len(content) // 2])
        await asyncio.sleep(1.0)
        await site.post(f"/models/{DAMAGED_MODEL}/unload")
        status = await site.post(f"/models/{DAMAGED_MODEL}/load")
    finally:
        _overwrite(path, content)
    if status < 400:
        raise FaultFailed(f"the damaged {path.name} of {DAMAGED_MODEL} was loaded")
    await site.post(f"/models/{DAMAGED_MODEL}/unload")
    if (restored := await site.post(f"/models/{DAMAGED_MODEL}/load")) != 200:
        raise FaultFailed(f"loading the restored {DAMAGED_MODEL} was answered by {restored}")
    return f"{path.name} of {DAMAGED_MODEL}, refused with {status}"


def _overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.truncate(len(content))
        file.write(content)


async def _stop_process(site: Site, number: int) -> str:
    os.kill(site.process_id, signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_S)
    finally:
        os.kill(site.process_id, signal.SIGCONT)
    return f"{STOPPED_S:g} s"


async def _squeeze_memory(site: Site, number: int) -> str:
    limit = site.group.read_limit()
    allowed = resident_bytes(site.process_id) + SQUEEZED_SPARE
    if limit is None or not site.group.limit(min(limit, allowed)):
        return "not possible here"
    try:
        await asyncio.sleep(SQUEEZE_S)
    finally:
        site.group.limit(limit)
    return f"{allowed / 1e6:,.0f} MB"


async def _hang_up(site: Site, number: int) -> str:
    for _ in range(N_HANG_UPS):
        os.kill(site.process_id, signal.SIGHUP)
        await asyncio.sleep(0.02)
    return f"{N_HANG_UPS} times"


async def _leave_log_unread(site: Site, number: int) -> str:
    site.log.stop()
    try:
        await asyncio.sleep(UNREAD_S)
    finally:
        site.log.start()
    return f"{UNREAD_S:g} s"


async def _visit(site: Site, number: int) -> str:
    """Open many connections at once, each of which leaves without reading its answer."""

    async def visit() -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, site.port)
            writer.write(LIVE)
            writer.close()

    await asyncio.gather(*(visit() for _ in range(N_VISITORS)))
    return f"{N_VISITORS} connections"


FAULTS: Mapping[str, Fault] = {
    "worker killed": Fault(inject=_kill_worker, statuses=UNAVAILABLE, models=KILLED_MODELS),
    "clock moved": Fault(inject=_jump_clock),
    "checkpoint damaged": Fault(inject=_damage_checkpoint, statuses=UNAVAILABLE, models=(DAMAGED_MODEL,)),
    "process stopped": Fault(inject=_stop_process, stops_process=True),
    "disk filled": Fault(inject=_fill_disk),
    "log unread": Fault(inject=_leave_log_unread),
    "memory squeezed": Fault(inject=_squeeze_memory, without_attacks=True, stops_process=True),
    "SIGHUP": Fault(inject=_hang_up),
    "visitors": Fault(inject=_visit),
}
"""The faults by name, in the order in which they are injected."""


class FaultSchedule:
    """Injects the faults in turn, one every so many seconds. While `lock` is held, none begins."""

    def __init__(self, site: Site, every_s: float) -> None:
        self._site, self._every_s = site, every_s
        self.lock = asyncio.Lock()
        self.attacks_paused: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
        self.injections: list[Injection] = []

    async def run(self) -> None:
        """Inject faults until cancelled."""
        for number, (name, fault) in enumerate(cycle(FAULTS.items())):
            await asyncio.sleep(self._every_s)
            async with self.lock, self.attacks_paused() if fault.without_attacks else nullcontext():
                await self._inject(name, fault, number // len(FAULTS))

    async def _inject(self, name: str, fault: Fault, number: int) -> None:
        injection = Injection(name, fault, time.monotonic(), number=number)
        self.injections.append(injection)
        try:
            injection.note = await fault.inject(self._site, number)
        except (FaultFailed, OSError, httpx.HTTPError) as error:
            injection.note, injection.failed = f"{type(error).__name__}: {error}", True
        finally:
            injection.ended_at = time.monotonic()

    def excuses(self, request: SoakRequest, sent_at: float, now: float, status: int) -> bool:
        """Return whether a fault excuses the status of a request that was sent and answered at these times."""
        return any(
            status in each.fault.statuses
            and each.model in (None, request.model)
            and sent_at < each.ended_at + RECOVERY_S
            and now > each.started_at
            for each in self.injections
        )

    def stopped_spans(self) -> Sequence[tuple[float, float]]:
        """Return the spans of time (`time.monotonic`) in which the process did not run, or hardly."""
        return [(e.started_at, e.ended_at + RECOVERY_S) for e in self.injections if e.fault.stops_process]

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return by name how often each fault was injected, what happened last, and what failed."""
        found: dict[str, dict[str, Any]] = {}
        for each in self.injections:
            entry = found.setdefault(each.name, {"n": 0, "last": "", "failed": []})
            entry["n"] += 1
            entry["last"] = each.note
            if each.failed:
                entry["failed"].append(each.note)
        return found
