"""Answers that are sent as they are made, as Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.engine.policy import Outcome
from app.errors import DeadlineExceeded, ManifoldError
from app.http.problems import STATUS, details
from app.schemas.envelope import Writer
from models.tasks.text import Progress

UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""So that no proxy on the way waits for the end."""


PIECE_BYTES = 2**18


class PacedResponse(Response):
    """A body that is handed over as fast as the client reads: only a piece of it waits in the connection's buffer."""

    def __init__(self, body: bytes, media_type: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status_code, self.body, self.media_type, self.background = 200, body, media_type, None
        its = ((b"content-length", b"%d" % len(body)), (b"content-type", media_type.encode()))
        self.raw_headers = [*its, *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, max(1, len(self.body)), PIECE_BYTES):
            piece = self.body[start : start + PIECE_BYTES]
            more = start + PIECE_BYTES < len(self.body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


def sse(event: dict[str, Any]) -> bytes:
    """One event (HTML Living Standard, 9.2)."""
    return b"data: " + orjson.dumps(event) + b"\n\n"


def failure(request_id: str, error: ManifoldError) -> dict[str, Any]:
    """The last event of a stream that failed: problem details, as the answer would have been."""
    return {
        "error": details(
            request_id, name=type(error).__name__, status=STATUS[type(error)], detail=error.detail, faults=error.faults
        )
    }


class Stream:
    """What an engine makes for one call, event by event. `hear` is for the engine; the rest for who sends the events.

    Iterating ends with the work. It raises what the work raised, and DeadlineExceeded if that took too long.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._news = asyncio.Event()
        self._work: asyncio.Task[Outcome]
        self._deadline: float
        self._limit_ms: int

    def hear(self, index: int, progress: Progress) -> bool:
        """See `Writer.hear`."""
        self._news.set()
        return self._writer.hear(index, progress)

    def start(self, work: Coroutine[Any, Any, Outcome], limit_ms: int) -> None:
        """Begin the work, which is to be done within the limit."""
        self._limit_ms = limit_ms
        self._deadline = asyncio.get_running_loop().time() + limit_ms / 1000
        self._work = asyncio.ensure_future(work)
        self._work.add_done_callback(self._done)

    async def begun(self) -> None:
        """Wait for the first event, or raise what the work raised before there was one."""
        await self._wait()
        if self._work.done():
            self._work.result()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """The events."""
        while True:
            for event in self._writer.events():
                yield event
            if self._work.done():
                self._work.result()
                for event in self._writer.events():
                    yield event
                return
            await self._wait()

    def outcome(self) -> Outcome:
        """Of the finished work."""
        return self._work.result()

    def end(self) -> None:
        """Give up what is not yet done."""
        self._work.cancel()

    def _done(self, work: "asyncio.Task[Outcome]") -> None:
        if not work.cancelled():
            work.exception()  # seen, even if nobody is left to be told
        self._news.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._news.wait()
        except TimeoutError:
            detail = f"the stream was not complete within {self._limit_ms} ms; x-timeout-ms may ask for more"
            raise DeadlineExceeded(detail) from None
        self._news.clear()
