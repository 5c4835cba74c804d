"""HTTP/1.1 as uvicorn has it, but for the system calls of an answer, and for what is refused at the door."""

import asyncio
from typing import Any, cast

from fastapi import FastAPI
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.door import Door, Verdict, head_of

HELD_S = 1.0
"""How long the rest of a request is waited for before what has come of it is read."""


class Cycle(RequestResponseCycle):
    """uvicorn's, of a request and its answer, but that a plain answer is one write.

    uvicorn writes head and body one after the other, each with a system call that wakes the client, and looks through
    each header twice: for a small answer, this costs more than all else that is done to send it.
    """

    _start: Any = None

    async def send(self, message: Any) -> None:
        """See ASGI. The head is held back until the body comes."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            await super().send(message)
        elif plain := self._plain(start, message):
            self.response_started = self.response_complete = True
            self.waiting_for_100_continue = False
            self.transport.write(plain)
            self.message_event.set()
            self.on_response()
        else:
            await super().send(start)
            await super().send(message)

    def _plain(self, start: Any, end: Any) -> bytes:
        """All of an answer that is whole, of the length that it names, and after which the connection goes on."""
        if end["type"] != "http.response.body" or end.get("more_body") or self.scope["method"] == "HEAD":
            return b""
        if not self.keep_alive or self.disconnected or self.flow.write_paused:
            return b""
        headers, body = [*self.default_headers, *start.get("headers", ())], end.get("body", b"")
        head = head_of(start["status"], headers)
        has_length = b"\r\ncontent-length: %d\r\n" % len(body) in head
        is_clean = head.count(b"\r") == head.count(b"\n") == len(headers) + 1
        goes_on = b"\r\nconnection:" not in head and b"\r\ntransfer-encoding:" not in head
        return b"%s\r\n%s" % (head, body) if has_length and is_clean and goes_on else b""


class Protocol(HttpToolsProtocol):
    """uvicorn's, with a `Cycle`, behind a `Door`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._door: Door = cast("FastAPI", self.config.app).state.door
        self._is_between_requests = True
        self._held = b""
        self._held_until: asyncio.TimerHandle | None = None
        self._refused_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
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
        """Called when the server ends: a request that has begun to come is waited for.

        For its head, which has no deadline of its own, as long as for what the door holds back.
        """
        self._let_in()
        has_cycle = self.cycle is not None and self.cycle.scope is self.scope
        if not self._is_between_requests and not has_cycle:
            self.loop.call_later(HELD_S, super().shutdown)
        else:
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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.__class__ = Cycle
        super()._start_asgi_task(cycle, app)

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
        self.transport.write(answer)
        self.server_state.total_requests += 1
        self._refused_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_handler()  # sets it
