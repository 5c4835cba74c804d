"""The start of a model: its memory is reserved, its files are read on a thread, and its engine is started."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.engine.engine import Engine
from app.engine.observer import EngineObserver
from app.engine.turns import ForwardTurns
from app.errors import InferenceFailed, InvalidRequest
from app.registry.background import BackgroundCall, call_in_background
from app.registry.garbage import give_memory_back
from app.registry.loaded_model import LoadedModel, LoadingFailed, Replicas, describe, estimate_bytes
from app.registry.memory import MemoryBudget, Reservation
from app.settings import Settings
from models.errors import ModelsError

log = logging.getLogger(__name__)

MAX_LOADING = 2
"""Maximum number of models that load at the same time. More would wait for each other at the interpreter lock: loading
all the shipped models at once takes more than twice as long."""
MAX_TURN_S = 20.0
"""Time in seconds after which a model that is still loading no longer keeps others from loading. Its disk may hang."""
CANCELLED_START_S = 1.0
"""Time in seconds that the first forward passes of a model may still take once its start was cancelled."""


class LoadingTurns:
    """Lets a few models load at the same time, and the others wait."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(MAX_LOADING)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn to load a model; the turn ends with the context, or after `MAX_TURN_S`."""
        await self._semaphore.acquire()
        timer = asyncio.get_running_loop().call_later(MAX_TURN_S, self._semaphore.release)
        try:
            yield
        finally:
            if timer.when() > asyncio.get_running_loop().time():
                timer.cancel()
                self._semaphore.release()


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns that all models take: to load, and to run forward passes."""

    loading: LoadingTurns
    forward: ForwardTurns

    @classmethod
    def of(cls, settings: Settings) -> "Turns":
        """Return the turns for the models of a server with these settings."""
        return cls(LoadingTurns(), ForwardTurns.of(settings))


class ModelStart:
    """Starts a model, as often as it is loaded. All methods run on the event loop.

    Attributes:
        n_bytes: the memory that the model needs, estimated or measured; 0 if that is not known.
    """

    def __init__(self, name: str, memory: MemoryBudget, turns: Turns, observer: EngineObserver | None) -> None:
        self.n_bytes = 0
        self._name, self._memory, self._turns, self._observer = name, memory, turns, observer
        self._reading: BackgroundCall[Replicas] | None = None

    async def start(
        self, folder: Path, settings: Settings, read: Callable[[], Replicas], *, may_unload: bool
    ) -> tuple[LoadedModel, Reservation]:
        """Reserve memory, read the weights on a thread, and start an engine.

        A start that is cancelled ends at once. What it reads is dropped, and its memory is reserved until then.

        Args:
            folder: the folder of the checkpoint.
            settings: the settings of the server.
            read: reads the checkpoint.
            may_unload: whether idle models may be unloaded to make room.

        Raises:
            LoadingFailed: the checkpoint is damaged, cannot run as the settings demand, or a first forward pass failed.
            InvalidRequest: there is no memory for it.
        """
        reservation, loaded = None, None
        try:
            async with self._turns.loading.turn():
                if self._reading is not None:  # a start that was cancelled, whose memory is not free yet
                    await asyncio.wait([self._reading.ended])
                if self._memory.limit and not self.n_bytes:
                    self.n_bytes = await call_in_background(estimate_bytes, folder, self._name, settings)
                reservation = await self._memory.reserve(self.n_bytes, may_unload=may_unload)
                loaded = await self._start_engine(await self._read(read), settings)
                await call_in_background(give_memory_back)  # of the weights as they were before they were packed
            self.n_bytes = loaded.memory_bytes
            await self._memory.correct(reservation, loaded.memory_bytes, may_unload=may_unload)
        except BaseException as error:
            if loaded is not None:
                await loaded.engine.stop()
            if reservation is not None:
                self._release(reservation)
            raise self._explain(error) from None
        return loaded, reservation

    async def _read(self, read: Callable[[], Replicas]) -> Replicas:
        reading = self._reading = BackgroundCall(read)
        try:
            return await reading.result()
        finally:
            if reading.ended.done():
                self._reading = None
            del reading  # an error refers to this frame

    async def _start_engine(self, replicas: Replicas, settings: Settings) -> LoadedModel:
        checkpoint = replicas.checkpoint
        is_text = checkpoint.modality == "text"
        budget = settings.max_batch_tokens if is_text else settings.max_batch_elements
        tasks, turns, observer = checkpoint.tasks, self._turns.forward, self._observer
        engine = Engine(self._name, replicas.models, tasks, settings, budget=budget, turns=turns, observer=observer)
        try:
            await engine.started()
        except asyncio.CancelledError:
            engine.abandon(after_s=CANCELLED_START_S)
            await engine.stop()
            raise
        return describe(replicas, engine, settings.max_running_sequences)

    def _release(self, reservation: Reservation) -> None:
        """End a reservation, once the thread that reads the model has ended."""
        if self._reading is None or self._reading.ended.done():
            self._memory.release(reservation)
        else:
            self._reading.ended.add_done_callback(lambda _: self._memory.release(reservation))

    def _explain(self, error: BaseException) -> BaseException:
        """Return the error to raise for one that ended the start, and log it."""
        if isinstance(error, (ModelsError, InferenceFailed)):
            log.error("model failed to load", extra={"model": self._name, "reason": str(error)})
            return LoadingFailed(str(error))
        if isinstance(error, InvalidRequest) or not isinstance(error, Exception):
            return error
        # whatever a device or a library raises must not affect the other models
        log.error("model failed to load", extra={"model": self._name}, exc_info=error)
        return LoadingFailed(f"an unexpected {type(error).__name__}; see the log")
