"""What would hold the event loop up, on threads beside it."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar, cast

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]
_Given = SimpleQueue[tuple[Callable[[], Any], "asyncio.Future[_Outcome]"] | None]


class Aside:
    """A few threads for what is short, and as many for what takes long, which begin with what waits longest.

    The event loop is woken once for all that has been done meanwhile: waking it for each takes longer than much of
    what is asked of the threads, and gives the interpreter's lock to and fro.
    """

    def __init__(self, n_threads: int) -> None:
        """`n_threads` of each kind."""
        self._loop = asyncio.get_running_loop()
        self._short: _Given = SimpleQueue()
        self._long: _Given = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[_Outcome], _Outcome]] = deque()
        self._is_called = False
        self._threads = [
            threading.Thread(target=self._run, args=(given,), name=f"aside-{number}", daemon=True)
            for number in range(n_threads)
            for given in (self._short, self._long)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[..., T], *arguments: Any, is_long: bool = False) -> T:
        """What it returns or raises. If the caller is cancelled, it is not begun any more."""
        future: asyncio.Future[_Outcome] = self._loop.create_future()
        (self._long if is_long else self._short).put((partial(work, *arguments), future))
        result, error = await future
        if error is None:
            return cast("T", result)
        try:
            raise error
        finally:
            del error, future  # which would keep each other, and all that the work had, alive

    def close(self) -> None:
        """End the threads, once all is done."""
        for given in (self._short, self._long):
            for _ in self._threads:
                given.put(None)

    def _run(self, given: "_Given") -> None:
        while (its := given.get()) is not None:
            work, future = its
            if not future.cancelled():
                self._done.append((future, _outcome(work)))
                if not self._is_called and not self._loop.is_closed():
                    self._is_called = True
                    self._loop.call_soon_threadsafe(self._deliver)
            del its, work, future  # while the thread waits, and for an error, which knows this frame

    def _deliver(self) -> None:
        self._is_called = False  # whoever is done from here on calls again
        while self._done:
            future, outcome = self._done.popleft()
            if not future.done():
                future.set_result(outcome)


def _outcome(work: Callable[[], Any]) -> _Outcome:
    try:
        return work(), None
    except BaseException as error:
        return None, error
