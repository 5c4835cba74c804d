"""One checkpoint, and its states while the server runs."""

import asyncio
import logging
import time
from dataclasses import asdict
from pathlib import Path

from app.engine.observer import EngineObserver
from app.engine.supervisor import Health
from app.errors import InvalidRequest, ModelUnavailable
from app.registry.background import call_in_background
from app.registry.garbage import give_memory_back
from app.registry.loaded_model import LoadedModel, LoadingFailed, Replicas, read_replicas
from app.registry.memory import MemoryBudget, Reservation
from app.registry.model_start import ModelStart, Turns
from app.registry.model_state import DOWN_RETRY_AFTER_S, LOADING_RETRY_AFTER_S, State, explain_state
from app.settings import Settings
from models.checkpoint import Checkpoint, read_checkpoint
from models.checkpoint.fingerprint import fingerprint
from models.errors import ModelsError

__all__ = ["ServedModel", "State"]

log = logging.getLogger(__name__)

ABANDONED_S = 1.0
"""Time in seconds that a forward pass may still take once the time to finish is over."""
ABANDON_EVERY_S = 0.1
"""Time in seconds after which what holds up the end of a model is looked for again."""
LOADING_ENDED = "its loading was ended before it was done: by its time limit, or because the model was to be unloaded"
"""Reason of a model whose loading was ended."""


class ServedModel:
    """A checkpoint folder that can be loaded into memory and unloaded again. All methods run on the event loop.

    Attributes:
        folder: the folder of the checkpoint; another one takes effect when the model is loaded or refreshed.
        settings: the present settings of the server.
        checkpoint: None while the folder cannot be read.
        loaded: None unless the model is in memory.
        reason: why the model has failed, or why its folder cannot be read.
        last_used: when a request last chose the model (`time.monotonic`).
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Settings,
        memory: MemoryBudget,
        turns: Turns,
        *,
        wanted: bool,
        observer: EngineObserver | None = None,
    ) -> None:
        """Read the checkpoint's description. A model that is `wanted` counts as loading from now on."""
        self.name, self.folder, self.settings = name, folder, settings
        self.checkpoint: Checkpoint | None = None
        self.loaded: LoadedModel | None = None
        self.reason: str | None = None
        self.last_used = 0.0
        self._memory = memory
        self._start = ModelStart(name, memory, turns, observer)
        self._starting: asyncio.Task[tuple[LoadedModel, Reservation]] | None = None
        self._reservation: Reservation | None = None
        self._state = State.LOADING if wanted else State.UNLOADED
        self._was_idle = False
        self._changing = asyncio.Lock()
        self._demand: asyncio.Task[str | None] | None = None
        self._n_waiting = 0
        self._former: LoadedModel | None = None  # replaced by another version, and still used by requests
        self._retiring: asyncio.Task[None] | None = None
        try:
            self.checkpoint = read_checkpoint(folder, name)
        except ModelsError as error:
            self.reason = str(error)
        except Exception as error:  # whatever a checkpoint holds must not affect the other models
            log.exception("the description of a model cannot be read", extra={"model": name})
            self.reason = f"an unexpected {type(error).__name__}; see the log"

    @property
    def state(self) -> State:
        """The present state. It is `READY` only while all worker threads are alive and have run a forward pass."""
        if self._state is State.READY and self.loaded and self.loaded.engine.health is not Health.READY:
            return State.RECOVERING
        return self._state

    @property
    def loads_on_demand(self) -> bool:
        """True if the next request loads the model, or waits for the loading that another request began."""
        return self._state is State.IDLE or (self._state is State.LOADING and self._was_idle)

    @property
    def is_ready(self) -> bool:
        """True if the model serves, or the next request for it loads it."""
        return self.state is State.READY or self.loads_on_demand

    @property
    def is_idle(self) -> bool:
        """True if the model is in memory, and neither a request nor a change needs it at this moment."""
        is_retiring = self._retiring is not None and not self._retiring.done()
        is_changing = self._changing.locked() or is_retiring or self._n_waiting > 0
        return self._state is State.READY and not is_changing and self.loaded is not None and self.loaded.is_idle

    @property
    def task_names(self) -> list[str]:
        """The tasks that the model serves; empty while its checkpoint cannot be read."""
        return self.checkpoint.task_names if self.checkpoint else []

    def require(self) -> LoadedModel:
        """Return the model if it takes requests. A recovering model does: they wait in its queue.

        Raises:
            ModelUnavailable: it is not in memory; the detail names its state, the reason, and what can be done.
        """
        if self.loaded and self._state is State.READY:
            return self.loaded
        wait_s = LOADING_RETRY_AFTER_S if self.state is State.LOADING else DOWN_RETRY_AFTER_S
        raise ModelUnavailable(
            f"{self.name} is {explain_state(self.name, self.state, self.reason)}", retry_after_s=wait_s
        )

    async def acquire(self) -> LoadedModel:
        """Return the model for one request, after loading it if it is idle. The caller must `release` what it gets.

        If the caller is cancelled while it waits, the loading goes on.

        Raises:
            ModelUnavailable: it is not in memory, and is not loaded on demand or cannot be.
        """
        if self._state is not State.READY:
            await self._load_on_demand()
        loaded = self.require()
        loaded.retain()
        self.last_used = time.monotonic()
        return loaded

    async def _load_on_demand(self) -> None:
        """Wait until the model is in memory, if it is idle. All requests wait for the same loading.

        Raises:
            ModelUnavailable: there is no memory for it.
        """
        self._n_waiting += 1  # so that it is not unloaded again before the request resumes
        try:
            while self.loads_on_demand:
                if self._demand is None or self._demand.done():
                    self._demand = asyncio.create_task(self.load())
                refusal = await asyncio.shield(self._demand)
                if refusal is not None and self._state is State.IDLE:
                    raise ModelUnavailable(
                        f"{self.name} cannot be loaded: {refusal}", retry_after_s=LOADING_RETRY_AFTER_S
                    )
        finally:
            self._n_waiting -= 1

    async def load(self, *, may_unload: bool = True) -> str | None:
        """Load the model, unless it is in memory, and wait for its first forward passes.

        To cancel this ends the loading. Never raises because of the model: if it cannot be loaded, the state is
        `FAILED` and `reason` says why. If there is no memory for it, the state is as before, or `IDLE` if memory may be
        there later, and the reason is returned. Idle models are unloaded for it if `may_unload`.
        """
        async with self._changing:
            if self.loaded:
                return None
            await self._retired()
            before, self._state, self.reason = self._state, State.LOADING, None
            if before is State.FAILED:
                self._start.n_bytes = 0
            try:
                self._enter(await self._run_start(may_unload=may_unload))
            except (LoadingFailed, asyncio.CancelledError) as error:
                self._state, self._start.n_bytes = State.FAILED, 0
                self.reason = str(error) or LOADING_ENDED
                if isinstance(error, asyncio.CancelledError):
                    raise
                return self.reason
            except InvalidRequest as error:
                self._refuse(before, error.detail)
                return error.detail
            return None

    async def refresh(self) -> None:
        """Load the files of the folder beside the model in memory if they have changed, and switch to the new version.

        Requests that use the old version finish on it; then its memory is freed.

        Raises:
            InvalidRequest: the new version cannot be loaded, and the old one goes on serving.
        """
        async with self._changing:
            await self._retired()
            old = self.loaded
            if old is None or await call_in_background(fingerprint, self.folder) == old.files:
                return
            try:
                self._start.n_bytes = 0
                started = await self._run_start(may_unload=True)
            except (LoadingFailed, InvalidRequest) as error:
                raise InvalidRequest(
                    f"the new files of {self.name} cannot be loaded, and the version in memory goes on serving: {error}"
                ) from None
            reservation = self._reservation
            self._enter(started)
            self._former = old
            self._retiring = asyncio.create_task(self._retire(old, reservation))

    async def become_idle(self) -> None:
        """Unload the model until the next request for it, unless something needs it at this moment."""
        if not self.is_idle:
            return
        async with self._changing:  # at once, because an idle model is not changing
            loaded, reservation = self.loaded, self._reservation
            self.loaded, self._reservation = None, None
            self._state, self._was_idle = State.IDLE, True
            if loaded is not None:
                log.info("model unloaded until it is needed", extra={"model": self.name})
                await loaded.engine.stop()
                del loaded
                await self._free(reservation)

    async def close(self, within_s: float) -> None:
        """Serve the waiting requests, then drop the model.

        After `within_s` seconds, what holds this up is ended: requests fail with `ModelUnavailable`, also those that
        run, and so does a loading. So the model is gone about `ABANDONED_S` later.
        """
        closing = asyncio.create_task(self._close())
        await asyncio.wait([closing], timeout=within_s)
        if not closing.done():
            log.warning("the time of a model to finish is over; its requests fail", extra={"model": self.name})
        while not closing.done():
            self._abandon()
            await asyncio.wait([closing], timeout=ABANDON_EVERY_S)
        await closing

    async def unload(self, within_s: float) -> None:
        """Close the model as `close` does, and give its memory back to the operating system."""
        has_memory = self.loaded is not None
        await self.close(within_s)
        if has_memory:
            await self._free(None)

    async def _close(self) -> None:
        if self._demand is not None:  # else it would load the model again
            await asyncio.wait([self._demand])
        async with self._changing:
            if self._former is not None:
                self._former.hurry()
            await self._retired()
            if self.loaded:
                self._state = State.UNLOADING
                await self.loaded.engine.stop()
                self.loaded = None
            self._state, self.reason, self._was_idle = State.UNLOADED, None, False
            if self._reservation is not None:
                self._memory.release(self._reservation)
                self._reservation = None

    def _abandon(self) -> None:
        """End the loading and the requests that `_close` waits for."""
        if self._starting is not None:
            self._starting.cancel()
        for version in (self._former, self.loaded):
            if version is not None:
                version.hurry()
                version.engine.abandon(after_s=ABANDONED_S)

    def apply(self, settings: Settings) -> None:
        """Follow new settings. Those that a running engine cannot follow take effect when the model is loaded again."""
        n_bytes = self._start.n_bytes
        fits_now = settings.memory_limit != self.settings.memory_limit and not 0 < settings.memory_limit < n_bytes
        self.settings = settings
        if fits_now and n_bytes and self._state is State.FAILED:  # for lack of memory: the next request loads it
            self._state, self.reason, self._was_idle = State.IDLE, None, True
        if self.loaded:
            self.loaded.engine.apply(settings)

    async def _run_start(self, *, may_unload: bool) -> tuple[LoadedModel, Reservation]:
        """Start the model from its folder, in a task that `_abandon` may cancel; see `ModelStart.start`.

        Raises:
            LoadingFailed: the model cannot be started, or the task was cancelled.
            InvalidRequest: there is no memory for it.
        """
        start = self._start.start(self.folder, self.settings, self._read, may_unload=may_unload)
        starting = self._starting = asyncio.create_task(start)
        try:
            await asyncio.wait([starting])
            if starting.cancelled():
                raise LoadingFailed(LOADING_ENDED)
            return starting.result()
        finally:
            starting.cancel()
            self._starting = None
            del starting  # an error refers to this frame

    def _read(self) -> Replicas:
        return read_replicas(self.folder, self.name, self.settings)

    def _enter(self, started: tuple[LoadedModel, Reservation]) -> None:
        """Let a started model serve all requests from now on."""
        loaded, self._reservation = started
        self.checkpoint, self.loaded = loaded.checkpoint, loaded
        loaded.engine.apply(self.settings)
        self._state, self.reason, self._was_idle = State.READY, None, False
        self.last_used = time.monotonic()
        memory = {"memory_bytes": loaded.memory_bytes, "sha256": loaded.checkpoint.sha256}
        log.info("model ready", extra={"model": self.name, **memory, **asdict(loaded.conversion)})

    def _refuse(self, before: State, reason: str) -> None:
        """Return to the state before a loading for which there is no memory."""
        log.warning("no memory to load a model", extra={"model": self.name, "reason": reason})
        self._state, self.reason = before, reason
        if self._start.n_bytes > self._memory.limit:
            self._state = State.FAILED
        elif before is State.LOADING and self.settings.idle_unload:  # others may be unloaded when a request comes
            self._state, self._was_idle = State.IDLE, True
        elif before is State.LOADING:
            self._state = State.FAILED

    async def _retire(self, old: LoadedModel, reservation: Reservation | None) -> None:
        """Stop a version that another has replaced, once the requests that use it are answered."""
        await old.retire()
        self._former = None
        del old
        await self._free(reservation)
        log.info("the former version of a model is unloaded", extra={"model": self.name})

    async def _retired(self) -> None:
        """Wait until a version that was replaced is gone, so that no more than two are in memory."""
        if self._retiring is not None:
            await asyncio.shield(self._retiring)
            self._retiring = None

    async def _free(self, reservation: Reservation | None) -> None:
        """Give the memory of a dropped model back to the operating system."""
        await call_in_background(give_memory_back)
        if reservation is not None:
            self._memory.release(reservation)
