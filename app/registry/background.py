"""Calls on threads of their own, for work with files that may never end, such as reading from a disk that hangs."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from models.cancellation import watch_caller

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """A call on a thread of its own, which holds up neither the end of the process nor other calls.

    If its caller is cancelled, the call ends where it next calls `stop_if_abandoned`, and its result is dropped.

    Attributes:
        ended: done once the thread has ended the call.
    """

    def __init__(self, function: Callable[..., T], *arguments: Any) -> None:
        """Begin the call."""
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[T] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        name = f"background-{getattr(function, '__name__', 'call')}"
        threading.Thread(target=self._run, args=(partial(function, *arguments),), name=name, daemon=True).start()

    async def result(self) -> T:
        """Wait for the call.

        Raises:
            Exception: whatever the call raises.
        """
        try:
            return await self._outcome
        finally:
            del self  # else an error, which refers to this frame, would keep all that it holds until garbage collection

    def _run(self, call: Callable[[], T]) -> None:
        watch_caller(self._outcome.cancelled)
        try:
            deliver = partial(self._deliver, call())
        except BaseException as error:
            deliver = partial(self._fail, error)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(deliver)
        del self, deliver  # as in `result`

    def _deliver(self, result: T) -> None:
        self.ended.set_result(None)
        if not self._outcome.done():
            self._outcome.set_result(result)

    def _fail(self, error: BaseException) -> None:
        self.ended.set_result(None)
        if not self._outcome.done():
            self._outcome.set_exception(error)


async def call_in_background(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function on a thread of its own, and return its result; see `BackgroundCall`.

    Raises:
        Exception: whatever the function raises.
    """
    return await BackgroundCall(function, *arguments).result()
