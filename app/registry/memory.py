"""The limit on the memory of all loaded models together, and what it leaves for requests."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.errors import InvalidRequest
from app.settings import Settings

log = logging.getLogger(__name__)

MIN_REQUEST_BYTES = 2**26
"""Memory in bytes that requests may always take, however much the models take."""


@dataclass(eq=False, slots=True)
class Reservation:
    """The memory of a model that is loaded or being loaded, in bytes."""

    n_bytes: int


class UnloadableModel(Protocol):
    """A model that may be unloaded to make room for others."""

    name: str
    last_used: float

    @property
    def is_idle(self) -> bool:
        """True if the model is in memory and no request needs it at this moment."""

    async def become_idle(self) -> None:
        """Unload the model until the next request for it."""


class MemoryBudget:
    """Counts the memory of the models. All methods run on the event loop.

    Where models load on demand, those that are idle make room for others, the least recently used one first.

    Attributes:
        settings: the present settings of the server.
        n_bytes: the memory that is reserved, in bytes.
    """

    def __init__(self, settings: Settings, models: Callable[[], Iterable[UnloadableModel]]) -> None:
        self.settings, self._models = settings, models
        self._reservations: set[Reservation] = set()
        self._changing = asyncio.Lock()
        self.n_bytes = 0

    @property
    def limit(self) -> int:
        """The most memory of all models in bytes, or 0 if there is no limit.

        The default limit is a share of the machine's memory, and does not count for models on GPUs.
        """
        settings = self.settings
        return settings.memory_limit if self._are_in_main_memory or "memory_limit" in settings.model_fields_set else 0

    @property
    def _are_in_main_memory(self) -> bool:
        return self.settings.device == "cpu"

    def limit_for_requests(self) -> int:
        """Return the memory in bytes that the models leave for all requests together, or 0 if there is no limit.

        It may be called on any thread. Models on GPUs leave all memory of the machine.
        """
        limit = self.settings.memory_limit
        if limit == 0:
            return 0
        return max(MIN_REQUEST_BYTES, limit - (self.n_bytes if self._are_in_main_memory else 0))

    async def reserve(self, n_bytes: int, *, may_unload: bool) -> Reservation:
        """Reserve memory for a model before it is loaded. If `may_unload`, idle models may be unloaded for it.

        Raises:
            InvalidRequest: it does not fit beside the models that stay in memory.
        """
        async with self._changing:
            await self._make_room(n_bytes, may_unload=may_unload)
            reservation = Reservation(n_bytes)
            self._add(reservation)
            return reservation

    async def correct(self, reservation: Reservation, n_bytes: int, *, may_unload: bool) -> None:
        """Replace an estimate by the memory that the loaded model takes.

        Raises:
            InvalidRequest: it does not fit; the reservation has ended.
        """
        async with self._changing:
            self.release(reservation)
            await self._make_room(n_bytes, may_unload=may_unload)
            reservation.n_bytes = n_bytes
            self._add(reservation)

    def release(self, reservation: Reservation) -> None:
        """End a reservation, once the model is no longer in memory."""
        if reservation in self._reservations:
            self._reservations.remove(reservation)
            self.n_bytes -= reservation.n_bytes

    async def shrink(self) -> None:
        """Unload idle models until the limit is kept, after it has changed. Log a warning where that is not enough."""
        async with self._changing:
            try:
                await self._make_room(0, may_unload=True)
            except InvalidRequest:
                log.warning(
                    "the models in memory take more than memory_limit",
                    extra={"memory_bytes": self.n_bytes, "memory_limit": self.limit},
                )

    def _add(self, reservation: Reservation) -> None:
        self._reservations.add(reservation)
        self.n_bytes += reservation.n_bytes

    async def _make_room(self, n_bytes: int, *, may_unload: bool) -> None:
        if not self.limit:
            return
        while self.n_bytes + n_bytes > self.limit:
            idle = [model for model in self._models() if model.is_idle]
            if n_bytes > self.limit or not (may_unload and self.settings.idle_unload and idle):
                used = f"{self.n_bytes} bytes are used by the models in memory" if self.n_bytes else "none is in use"
                raise InvalidRequest(f"it needs {n_bytes} bytes of memory; memory_limit is {self.limit}, and {used}")
            await min(idle, key=lambda model: model.last_used).become_idle()
