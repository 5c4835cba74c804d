"""What would hold the event loop up, on threads beside it."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar, cast

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]


class Aside:
    """A few threads, which begin with what waits longest.

    The event loop is woken once for all that has been done meanwhile: waking it for each takes longer than much of
    what is asked of the threads, and gives the interpreter's lock to and fro.
    """

    def __init__(self, n_threads: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._given: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], _Outcome]] = deque()
        self._is_called = False
        self._threads = [
            threading.Thread(target=self._run, name=f"aside-{number}", daemon=True) for number in range(n_threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """What it returns or raises. If the caller is cancelled, it is not begun any more."""
        future: asyncio.Future[_Outcome] = self._loop.create_future()
        self._given.put((work, future))
        result, error = await future
        if error is not None:
            raise error
        return cast("T", result)

    def close(self) -> None:
        """End the threads, once all is done."""
        for _ in self._threads:
            self._given.put(None)

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            work, future = given
            if future.cancelled():
                continue
            self._done.append((future, _outcome(work)))
            if not self._is_called and not self._loop.is_closed():
                self._is_called = True
                self._loop.call_soon_threadsafe(self._deliver)

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
