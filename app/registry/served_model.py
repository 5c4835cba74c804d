"""One checkpoint, and its states while the server runs."""

import asyncio
import logging
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

from app.engine.engine import Engine
from app.engine.observer import EngineObserver
from app.engine.supervisor import Health
from app.errors import InferenceFailed, InvalidRequest, ModelUnavailable
from app.registry.garbage import collect_and_freeze, give_memory_back
from app.registry.loaded_model import LoadedModel, LoadingFailed, Replicas, describe, estimate_bytes, read_replicas
from app.registry.memory import MemoryBudget, Reservation
from app.settings import Settings
from models.checkpoint import Checkpoint, read_checkpoint
from models.checkpoint.fingerprint import fingerprint
from models.errors import ModelsError

log = logging.getLogger(__name__)

LOADING_RETRY_AFTER_S = 1
"""Time in seconds after which clients are asked to try again while a model is loading, or waits for memory."""
DOWN_RETRY_AFTER_S = 30
"""Time in seconds after which clients are asked to try again while a model is in another state but ready."""


class State(StrEnum):
    """The state of a model, as clients see it. An idle model is not in memory; the next request for it loads it."""

    LOADING = "loading"
    READY = "ready"
    RECOVERING = "recovering"
    IDLE = "idle"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    FAILED = "failed"


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
        self._memory, self._observer = memory, observer
        self._reservation: Reservation | None = None
        self._n_bytes = 0  # memory that it needs, estimated or measured; 0 if that is not known
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
        raise ModelUnavailable(f"{self.name} is {self._explain_state()}", retry_after_s=wait_s)

    async def acquire(self) -> LoadedModel:
        """Return the model for one request, after loading it if it is idle. The caller must `release` what it gets.

        If the caller is cancelled while it waits, the loading goes on.

        Raises:
            ModelUnavailable: it is not in memory, and is not loaded on demand or cannot be.
        """
        if self._state is not State.READY:
            await self._load_on_demand()
        loaded = self.require()
        loaded.n_users += 1
        self.last_used = time.monotonic()
        return loaded

    def _explain_state(self) -> str:
        """Return the present state with its reason, and what can be done about it."""
        load = f"POST /models/{self.name}/load"
        match self.state:
            case State.LOADING:
                return f"{self.state}; try again when it is ready"
            case State.FAILED:
                return f"{self.state}: {self.reason}; once that is mended, {load} loads it again"
            case _:
                return f"{self.state}; {load} loads it"

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

        Never raises because of the model: if it cannot be loaded, the state is `FAILED` and `reason` says why. If there
        is no memory for it, the state is as before, or `IDLE` if memory may be there later, and the reason is returned.
        Idle models are unloaded for it if `may_unload`.
        """
        async with self._changing:
            if self.loaded:
                return None
            await self._retired()
            before, self._state, self.reason = self._state, State.LOADING, None
            try:
                self._enter(await self._start(0 if before is State.FAILED else self._n_bytes, may_unload=may_unload))
            except LoadingFailed as error:
                self._state, self.reason, self._n_bytes = State.FAILED, str(error), 0
                return str(error)
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
            if old is None or await asyncio.to_thread(fingerprint, self.folder) == old.files:
                return
            try:
                started = await self._start(0, may_unload=True)
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

    async def stop(self) -> None:
        """Serve the waiting requests, then drop the model."""
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

    async def unload(self) -> None:
        """Serve the waiting requests, then drop the model and give its memory back to the operating system."""
        has_memory = self.loaded is not None
        await self.stop()
        if has_memory:
            await self._free(None)

    def apply(self, settings: Settings) -> None:
        """Follow new settings. Those that a running engine cannot follow take effect when the model is loaded again."""
        fits_now = settings.memory_limit != self.settings.memory_limit and not 0 < settings.memory_limit < self._n_bytes
        self.settings = settings
        if fits_now and self._n_bytes and self._state is State.FAILED:  # for lack of memory: the next request loads it
            self._state, self.reason, self._was_idle = State.IDLE, None, True
        if self.loaded:
            self.loaded.engine.apply(settings)

    async def _start(self, n_bytes: int, *, may_unload: bool) -> tuple[LoadedModel, Reservation]:
        """Reserve memory, read the weights on a thread, and start an engine.

        Args:
            n_bytes: the memory that the model will take, or 0 to estimate it.
            may_unload: whether idle models may be unloaded for it.

        Raises:
            LoadingFailed: the checkpoint is damaged, cannot run as the settings demand, or a first forward pass failed.
            InvalidRequest: there is no memory for it.
        """
        reservation, loaded = None, None
        try:
            if self._memory.limit and not n_bytes:
                n_bytes = await asyncio.to_thread(estimate_bytes, self.folder, self.name, self.settings)
            self._n_bytes = n_bytes
            reservation = await self._memory.reserve(n_bytes, may_unload=may_unload)
            loaded = await self._start_engine(await asyncio.to_thread(self._read))
            self._n_bytes = loaded.memory_bytes
            await self._memory.correct(reservation, loaded.memory_bytes, may_unload=may_unload)
        except BaseException as error:
            if reservation is not None:
                self._memory.release(reservation)
            if loaded is not None:
                await loaded.engine.stop()
            if isinstance(error, (ModelsError, InferenceFailed)):
                log.error("model failed to load", extra={"model": self.name, "reason": str(error)})
                raise LoadingFailed(str(error)) from None
            if isinstance(error, InvalidRequest) or not isinstance(error, Exception):
                raise
            # whatever a device or a library raises must not affect the other models
            log.exception("model failed to load", extra={"model": self.name})
            raise LoadingFailed(f"an unexpected {type(error).__name__}; see the log") from None
        return loaded, reservation

    async def _start_engine(self, replicas: Replicas) -> LoadedModel:
        settings, checkpoint = self.settings, replicas.checkpoint
        is_text = checkpoint.modality == "text"
        budget = settings.max_batch_tokens if is_text else settings.max_batch_elements
        tasks, observer = checkpoint.tasks, self._observer
        engine = Engine(self.name, replicas.models, tasks, settings, budget=budget, observer=observer)
        await engine.started()
        return describe(replicas, engine, settings.max_running_sequences)

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
        if self._n_bytes > self._memory.limit:
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
        collect_and_freeze()
        await asyncio.to_thread(give_memory_back)
        if reservation is not None:
            self._memory.release(reservation)
