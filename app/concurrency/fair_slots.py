"""A number of slots that clients share fairly, by the work that they ask for."""

import asyncio
import math
from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from app.errors import QueueFull

MAX_WAITING = 1024
"""Maximum number of pieces of work of one client that may wait."""


@dataclass(order=True, slots=True)
class _Waiting:
    start: float
    order: int
    client: str = field(compare=False)
    work: float = field(compare=False)
    granted: "asyncio.Future[None]" = field(compare=False)


class FairSlots:
    """Gives slots to those who wait: first to the client that has had the least work done.

    This is start-time fair queueing (Goyal, Vin, Cheng 1996): in virtual time, the work of each client starts when its
    work before would have ended if all clients were served at once, and the earliest start goes first. Where there are
    several slots, one client never has all of them, so that another need not wait for the end of long work.

    All methods are called on the event loop.
    """

    def __init__(self, n_slots: int) -> None:
        self._n_slots = self._n_free = n_slots
        self._max_of_client = max(1, n_slots - 1)
        self._n_running: Counter[str] = Counter()
        self._n_waiting: Counter[str] = Counter()
        self._ends: dict[str, float] = {}
        self._now = 0.0
        self._waiting: list[_Waiting] = []
        self._order = count()

    async def acquire(self, client: str, work: int) -> None:
        """Wait for a slot for work that takes about `work` microseconds; `release` gives it back.

        Raises:
            QueueFull: `MAX_WAITING` pieces of work of this client wait already.
        """
        if self._n_waiting[client] >= MAX_WAITING:
            wait_s = sum(each.work for each in self._waiting) / 1e6 / self._n_slots
            detail = f"{MAX_WAITING} files of this client wait to be decoded, the limit; try again later"
            raise QueueFull(detail, retry_after_s=max(1, math.ceil(wait_s)))
        start = max(self._now, self._ends.get(client, 0.0))
        self._ends[client] = start + work
        waiting = _Waiting(start, next(self._order), client, work, asyncio.get_running_loop().create_future())
        insort(self._waiting, waiting)
        self._n_waiting[client] += 1
        self._grant()
        if waiting.granted.done():
            return
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting.granted.done() and not waiting.granted.cancelled():
                self.release(client)
            else:
                self._waiting.remove(waiting)
                self._count_down(self._n_waiting, client)
            raise

    def release(self, client: str) -> None:
        """Give back a slot that this client has acquired."""
        self._n_free += 1
        self._count_down(self._n_running, client)
        self._grant()
        if not self._n_running:  # so that clients of long ago are not remembered
            self._ends.clear()
            self._now = 0.0

    def _grant(self) -> None:
        """Give the free slots to those that wait and may have them."""
        while self._n_free:
            chosen = next((w for w in self._waiting if self._n_running[w.client] < self._max_of_client), None)
            if chosen is None:
                return
            self._waiting.remove(chosen)
            self._count_down(self._n_waiting, chosen.client)
            self._n_running[chosen.client] += 1
            self._n_free -= 1
            self._now = max(self._now, chosen.start)
            chosen.granted.set_result(None)

    @staticmethod
    def _count_down(counter: Counter[str], client: str) -> None:
        counter[client] -= 1
        if not counter[client]:
            del counter[client]
