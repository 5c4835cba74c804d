"""HTTP/1.1 as uvicorn has it, but for the system calls of an answer, and for what is refused at the door."""

import asyncio
import time
from array import array
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, cast

from fastapi import FastAPI
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import HeadTooLarge
from app.http.admission import Door, Verdict, head_of
from app.http.context import log_request, request_id_of
from app.http.problems import refused

HELD_S = 1.0
"""How long the rest of a request is waited for before what has come of it is read."""
MAX_HEAD_BYTES = 2**16
"""Of a request, or of what follows its body. The parser would keep any number of them until they are whole."""


class Cycle(RequestResponseCycle):
    """uvicorn's, of a request and its answer, but that a plain answer is one write.

    uvicorn writes head and body one after the other, each with a system call that wakes the client, and looks through
    each header twice: for a small answer, this costs more than all else that is done to send it.
    """

    _start: Any = None

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Answer, or end the connection: to close it waits for a client that perhaps reads nothing any more."""
        await super().run_asgi(app)
        if not self.response_complete and not self.disconnected:
            self.transport.abort()

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
    """uvicorn's, with a `Cycle`, behind a `Door`. It waits neither for what is never asked nor for who never reads."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._door: Door = cast("FastAPI", self.config.app).state.door
        self._is_between_requests = True
        self._n_unparsed = 0  # bytes that the parser has kept to itself
        self._waits_since = 0.0  # for a request, or for the rest of its head
        self._held = b""
        self._held_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._waits_since = self.loop.time()
        self._wait_for_request()
        self._door.visit()

    def data_received(self, data: bytes) -> None:
        """Called by the loop. Where the door is watched, whole requests are held up to it before they are read."""
        data, self._held = self._held + data, b""
        is_next = self._is_between_requests and not self._is_answering
        is_looked_at = is_next and self._door.is_watched and not self.flow.write_paused
        verdict = self._door.verdict(data, self.server_state.default_headers) if is_looked_at else Verdict.LET_IN
        if verdict is Verdict.INCOMPLETE:
            self._hold(data)
            return
        self._no_longer_held()
        if isinstance(verdict, bytes):
            self._refuse(verdict)
        else:
            self._read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._no_longer_held()
        self._no_longer_look()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called by the transport: the client reads more slowly than it is sent."""
        super().pause_writing()
        self._look_at_reader_later(self._n_unread())

    def resume_writing(self) -> None:
        """Called by the transport."""
        self._no_longer_look()
        super().resume_writing()

    def _look_at_reader_later(self, n_bytes: int) -> None:
        """Hang up if by then it has read nothing of what waits for it."""
        self._no_longer_look()
        self._reader_timer = self.loop.call_later(self.timeout_keep_alive, self._look_at_reader, n_bytes)

    def _look_at_reader(self, n_before: int) -> None:
        n_bytes, self._reader_timer = self._n_unread(), None
        if n_bytes >= n_before:
            self.transport.abort()
        elif n_bytes:
            self._look_at_reader_later(n_bytes)

    def _n_unread(self) -> int:
        """Bytes that wait here or, perhaps megabytes, in the kernel."""
        sent = array("i", [0])
        ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, sent)
        return self.transport.get_write_buffer_size() + sent[0]

    def _no_longer_look(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def shutdown(self) -> None:
        """Called when the server ends: a request that has begun to come is waited for.

        For its head, which has no deadline of its own, as long as for what the door holds back.
        """
        self._let_in()
        if self._has_begun:
            self.loop.call_later(HELD_S, super().shutdown)
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._is_between_requests = False
        self._waits_since = self.loop.time()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._n_unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._n_unparsed = 0
        self._is_between_requests = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called by the cycle."""
        self._waits_since = self.loop.time()
        if not self.flow.write_paused:
            self._no_longer_look()  # more waits now than before
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Called by the loop. Refusals leave the timer as it was, for it costs as much as they do."""
        self.timeout_keep_alive_task = None
        if self._is_answering:
            return  # the end of the answer sets it
        if self.transport.get_write_buffer_size():  # the last answer is still being read, or is not
            self._waits_since = self.loop.time()
            if self._reader_timer is None:
                self._look_at_reader_later(self._n_unread())
        if self._waits_since + self.timeout_keep_alive > self.loop.time():
            self._wait_for_request()
        else:
            super().timeout_keep_alive_handler()

    def _wait_for_request(self) -> None:
        """Until it has not come for so long, whatever else comes."""
        left_s = self._waits_since + self.timeout_keep_alive - self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)

    @property
    def _is_answering(self) -> bool:
        """Whether a request that has come is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _has_begun(self) -> bool:
        """Whether a request's head is being read."""
        return not self._is_between_requests and (self.cycle is None or self.cycle.scope is not self.scope)

    def _read(self, data: bytes) -> None:
        """By the parser; see to it that what this keeps does not grow, and that the rest is not waited for too long."""
        self._n_unparsed += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._is_between_requests and self._n_unparsed > MAX_HEAD_BYTES:
            if self._has_begun and not self._is_answering:
                self._refuse_head()
            else:
                self.transport.abort()
        elif self.timeout_keep_alive_task is None and not self._is_answering:
            self._wait_for_request()

    def _refuse_head(self) -> None:
        request_id = request_id_of(b"")
        detail = f"the request's head has more than {MAX_HEAD_BYTES} bytes, the limit"
        answer = refused(request_id, HeadTooLarge(detail))
        own = ((b"x-request-id", request_id.encode()), (b"connection", b"close"))
        head = head_of(answer.status_code, (*self.server_state.default_headers, *answer.raw_headers, *own))
        self.transport.write(b"%s\r\n%s" % (head, bytes(answer.body)))
        self.transport.close()
        log_request(request_id, "?", "?", answer.status_code, time.perf_counter())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.__class__ = Cycle
        super()._start_asgi_task(cycle, app)

    def _hold(self, data: bytes) -> None:
        """Until the rest has come; for a moment, after which the application has it, and its deadline."""
        self._unset_keepalive_if_required()
        self._held = data
        if self._held_timer is None:
            self._held_timer = self.loop.call_later(HELD_S, self._let_in)

    def _no_longer_held(self) -> None:
        if self._held_timer is not None:
            self._held_timer.cancel()
            self._held_timer = None

    def _let_in(self) -> None:
        self._no_longer_held()
        held, self._held = self._held, b""
        if held:
            self._read(held)

    def _refuse(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.server_state.total_requests += 1
        self._waits_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_request()
