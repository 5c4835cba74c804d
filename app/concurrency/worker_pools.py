"""Threads for decoding and rendering that would hold up the event loop, and the sizes from which they are used."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar, cast

from app.concurrency.request_memory import REQUEST_MEMORY, MemoryShare
from models.cancellation import watch_caller

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]
_Work = tuple[Callable[[], Any], "asyncio.Future[_Outcome]", MemoryShare | None]
_WorkQueue = SimpleQueue[_Work | None]

MAX_SHORT_BYTES = 2**18
"""Size of the largest body, in bytes, that counts as short. Work on a larger one may take seconds."""
MAX_SHORT_MEMORY = 2**23
"""Memory in bytes that a request with short work holds at most. To render an answer of as much takes about 10 ms."""
MAX_INLINE_NUMBERS = 2**14
"""Count of numbers that are rendered as JSON or PNG on the event loop, in about half a millisecond."""
MAX_INLINE_ARRAY_NUMBERS = 2**17
"""Count of numbers that are rendered as a NumPy file on the event loop, in about half a millisecond."""


class WorkerPools:
    """Threads for short work, and as many for long work, so that short work does not wait behind long work.

    The event loop is woken once for all results that are ready, rather than once for each: waking it takes longer than
    much of the work, and makes it compete for the interpreter's lock.
    """

    def __init__(self, n_short: int, n_long: int) -> None:
        """Create the pools, of so many threads for short and for long work; no thread runs before `start`."""
        self.n_short, self.n_long = n_short, n_long
        self._short: _WorkQueue = SimpleQueue()
        self._long: _WorkQueue = SimpleQueue()
        self._finished: deque[tuple[asyncio.Future[_Outcome], _Outcome]] = deque()
        self._is_delivery_scheduled = False

    def start(self) -> None:
        """Start the threads. Must be called on the event loop that will use the pools."""
        self._loop = asyncio.get_running_loop()
        for name, queue, n_threads in self._threads():
            for number in range(n_threads):
                threading.Thread(target=self._run, args=(queue,), name=f"offload-{name}-{number}", daemon=True).start()

    async def run(self, work: Callable[..., T], *arguments: Any, n_bytes: int = 0) -> T:
        """Call `work` on a thread and return its result; `n_bytes` is the size of the body it works on.

        It counts as long work if that body, or the memory that the request holds, is large.

        If the caller is cancelled before the work has begun, it is not begun. Work that has begun ends where it next
        calls `stop_if_abandoned`. The memory of the request that it is for stays claimed until the work has ended or is
        dropped.

        Raises:
            Exception: whatever the work raises.
        """
        memory = REQUEST_MEMORY.get()
        is_long = n_bytes > MAX_SHORT_BYTES or (memory is not None and memory.n_bytes > MAX_SHORT_MEMORY)
        queue = self._long if is_long else self._short
        future: asyncio.Future[_Outcome] = self._loop.create_future()
        self._put(queue, partial(work, *arguments), future)
        result, error = await future
        if error is None:
            return cast("T", result)
        try:
            raise error
        finally:
            del error, future  # the error refers to this frame: without this, both would stay until garbage collection

    def begin(self, work: Callable[[], Any]) -> None:
        """Call `work` on a thread that nobody waits for; what it returns or raises is forgotten.

        The memory of the request that it is for stays claimed until the work has ended.
        """
        self._put(self._long, work, self._loop.create_future())

    def close(self) -> None:
        """End the threads once all work is done."""
        for _, queue, n_threads in self._threads():
            for _ in range(n_threads):
                queue.put(None)

    def _threads(self) -> tuple[tuple[str, "_WorkQueue", int], ...]:
        """Return the name, the queue and the number of threads of each pool."""
        return ("short", self._short, self.n_short), ("long", self._long, self.n_long)

    def _put(self, queue: "_WorkQueue", work: Callable[[], Any], future: "asyncio.Future[_Outcome]") -> None:
        memory = REQUEST_MEMORY.get()
        if memory is not None:
            memory.hold()
        queue.put((work, future, memory))

    def _run(self, queue: "_WorkQueue") -> None:
        while (entry := queue.get()) is not None:
            work, future, memory = entry
            del entry
            outcome = None
            if not future.cancelled():
                watch_caller(future.cancelled)
                REQUEST_MEMORY.set(memory)
                outcome = _call(work)
                watch_caller(None)
            del work  # before the caller goes on, so that nothing of the body is kept alive here
            if memory is not None:
                memory.release()
            if outcome is not None:
                self._finished.append((future, outcome))
                outcome = None
                if not self._is_delivery_scheduled and not self._loop.is_closed():
                    self._is_delivery_scheduled = True
                    self._loop.call_soon_threadsafe(self._deliver)
            del future, memory  # so that an idle thread keeps neither bodies nor results alive

    def _deliver(self) -> None:
        self._is_delivery_scheduled = False  # results that are ready from here on schedule another delivery
        while self._finished:
            future, outcome = self._finished.popleft()
            if not future.done():
                future.set_result(outcome)


def _call(work: Callable[[], Any]) -> _Outcome:
    try:
        return work(), None
    except BaseException as error:
        return None, error
