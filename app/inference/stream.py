"""Inference whose results are streamed as they are computed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from app.engine.job import OnProgress, Outcome
from models.tasks.generation import Progress


class EventWriter(Protocol):
    """Turns the progress of a task that runs step by step into the events of a stream."""

    def on_progress(self, index: int, progress: Progress) -> bool:
        """Record the progress of request `index`; return whether its text ends here."""

    def events(self) -> list[dict[str, Any]]:
        """Return the events recorded since the last call."""


class Stream:
    """The events of one running request, in the order in which they are made.

    Iterating ends when the work does, and raises what the work raised.
    """

    def __init__(self, writer: EventWriter, start: Callable[[OnProgress], Coroutine[Any, Any, Outcome]]) -> None:
        """Start the work: `start` receives the function to call with the progress of each step."""
        self._writer = writer
        self._has_changed = asyncio.Event()
        self._work = asyncio.ensure_future(start(self._on_progress))
        self._work.add_done_callback(self._on_done)

    async def first_event(self) -> None:
        """Wait for the first event, or for the end of the work. Raises what the work raised, if it has ended."""
        await self._wait()
        if self._work.done():
            self._work.result()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events."""
        while True:
            is_last = self._work.done()
            if is_last:
                self._work.result()
            for event in self._writer.events():
                yield event
            if is_last:
                return
            await self._wait()

    def outcome(self) -> Outcome:
        """Return the outcome of the finished work."""
        return self._work.result()

    def cancel(self) -> None:
        """Cancel the work if it is not finished."""
        self._work.cancel()

    def _on_progress(self, index: int, progress: Progress) -> bool:
        self._has_changed.set()
        return self._writer.on_progress(index, progress)

    def _on_done(self, work: "asyncio.Task[Outcome]") -> None:
        if not work.cancelled():
            work.exception()  # marks the exception as retrieved, even if the client is gone
        self._has_changed.set()

    async def _wait(self) -> None:
        await self._has_changed.wait()
        self._has_changed.clear()
