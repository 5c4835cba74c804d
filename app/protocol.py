"""HTTP/1.1 as uvicorn has it, but for the system calls of an answer, and for what is refused at the door."""

import asyncio
from typing import Any, cast

from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.door import Door, Verdict

HELD_S = 1.0
"""How long the rest of a request is waited for before what has come of it is read."""


class Joined:
    """A transport that holds a first write back until the next one, or the end of the loop's turn.

    uvicorn writes the head of an answer and its body one after the other, and each write is a system call that wakes
    the client: for a small answer these cost more than all else that is done to send it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: bytes | None = None
        self._flush: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport`."""
        if self._held is not None:
            self._let_go(data)
        elif data:
            self._held = data
            self._flush = self._loop.call_soon(self._let_go)

    def write_at_once(self, data: bytes) -> None:
        """After what is held back."""
        self._let_go()
        self._transport.write(data)

    def close(self) -> None:
        """See `asyncio.Transport`; what is held back is written before."""
        self._let_go()
        self._transport.close()

    def _let_go(self, more: bytes = b"") -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        held, self._held = self._held, None
        if held is not None and not self._transport.is_closing():
            self._transport.writelines((held, more) if more else (held,))

    def __getattr__(self, name: str) -> Any:
        """All the rest is the transport's."""
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's, on a `Joined` transport, behind a `Door`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._door: Door = cast("FastAPI", self.config.app).state.door
        self._is_between_requests = True
        self._held = b""
        self._held_until: asyncio.TimerHandle | None = None
        self._refused_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))
        self._door.visit()

    def data_received(self, data: bytes) -> None:
        """Called by the loop. Where the door is watched, whole requests are held up to it before they are read."""
        data = self._no_longer_held() + data
        is_next = self._is_between_requests and (self.cycle is None or self.cycle.response_complete)
        is_looked_at = is_next and self._door.is_watched and not self.flow.write_paused
        verdict = self._door.verdict(data, self.server_state.default_headers) if is_looked_at else Verdict.LET_IN
        if verdict is Verdict.INCOMPLETE:
            self._hold(data)
        elif isinstance(verdict, bytes):
            self._refuse(verdict)
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._no_longer_held()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called when the server ends: a request that has begun to come is waited for."""
        self._let_in()
        super().shutdown()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._is_between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._is_between_requests = True
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Called by the loop. Refusals leave the timer as it was, for it costs as much as they do."""
        left_s = self._refused_at + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _hold(self, data: bytes) -> None:
        """Until the rest has come; for a moment, after which the application has it, and its deadline."""
        self._unset_keepalive_if_required()
        self._held = data
        self._held_until = self.loop.call_later(HELD_S, self._let_in)

    def _no_longer_held(self) -> bytes:
        held, self._held = self._held, b""
        if self._held_until is not None:
            self._held_until.cancel()
            self._held_until = None
        return held

    def _let_in(self) -> None:
        held = self._no_longer_held()
        if held:
            super().data_received(held)

    def _refuse(self, answer: bytes) -> None:
        cast("Joined", self.transport).write_at_once(answer)
        self.server_state.total_requests += 1
        self._refused_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_handler()  # sets it
