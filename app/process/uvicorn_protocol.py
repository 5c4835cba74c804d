"""HTTP/1.1 connections: uvicorn's protocol, with stricter rules.

This module uses uvicorn's private names: those in `app.process.uvicorn_names`, and methods that are marked by
`@override`. `app.process.guard` looks for them in the installed version before a server starts. So do
`app.process.flow` and `app.process.whole_answers`.
"""

import asyncio
import math
import time
from typing import Any

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.http.context import RequestContext
from app.process.connections import OpenConnections
from app.process.flow import ConnectionFlow
from app.process.incoming import (
    MAX_PIPELINED,
    PARSING_S,
    Reading,
    end_of_slice,
    feed_head,
    framing_headers,
    may_hold_many,
)
from app.process.peer import IS_AVAILABLE, Peer
from app.process.refusals import MAX_HEAD_BYTES, MAX_HEADERS, Refusal, refusal_of_head, refusal_of_syntax
from app.process.whole_answers import App, aborting_incomplete, without_chunked_coding

HEAD_GRACE_S = 1.0
"""Time in seconds in which a head that has begun to arrive must be complete once the server shuts down."""
LINGER_S = 2.0
"""Time in seconds for a refused client to read the answer and to hang up; what it still sends is discarded."""


class Protocol(HttpToolsProtocol):
    """One connection, as uvicorn serves it, with stricter rules.

    - A connection on which no complete head arrives within the keep-alive timeout is closed.
    - A head of more than `MAX_HEAD_BYTES` is refused with 431; malformed requests, and those without exactly one valid
      Host, with 400. Refusals are problem details, sent in order after the answers to earlier requests.
    - An offer to upgrade is ignored (RFC 9110, 7.8): the request, with its body, is answered as HTTP/1.1.
    - Clients of HTTP/1.0 receive neither chunked coding nor `100 Continue`, and every answer ends the connection.
    - White space around header values is removed (RFC 9110, 5.5), and trailers are not mixed with headers (6.5.1).
    - Pipelined requests are read only as fast as they are answered: at most `MAX_PIPELINED` wait, and the bytes that
      came with them.
    - That a client has left is noticed while nothing is read from it as well. One that has only stopped sending
      (RFC 9112, 9.6) is answered.
    - If the application does not complete an answer, the connection is aborted.
    """

    flow: ConnectionFlow
    shared = OpenConnections()

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._reading = Reading.NOTHING
        self._n_unparsed = 0  # bytes received since the parser last reported a part of a body or the end of a request
        self._held = b""  # received, and not given to the parser yet
        self.idle_deadline = 0.0
        self._n_unread: float = math.inf  # bytes that the client had not read when the idle timer last fired
        self._refusal: Refusal | None = None
        self._answered: RequestResponseCycle | None = None  # uvicorn's `cycle` is the one that arrived last
        self._peer: Peer | None = None  # only where reading does not tell that the client has left
        self._is_shutting_down = False
        self.is_leaving = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = ConnectionFlow(transport, self.pipeline, self.shared.memory, self._context_of_answer)
        self._restart_idle_timeout(self.timeout_keep_alive)
        others: Any = self.connections
        if self.shared.admit(self, others):
            return
        if self.shared.may_be_answered():
            self._refuse(Refusal.too_many_connections(self.shared.limit))
        else:
            transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, whichever of the client's requests it is answering; drop the requests behind."""
        if self.is_leaving:
            self.shared.forget(self)
        self.pipeline.clear()
        self._held = b""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        if self._peer is not None:
            self._peer.forget()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._unset_keepalive_if_required()
        if self._held or may_hold_many(data):
            self._held += data
            self._parse_held()
        else:
            self._parse(data)
        self._wait_for_more()

    def _wait_for_more(self) -> None:
        """Start the idle timer if no request is being answered, and no more is to be parsed."""
        if not (self._is_answering or self._held or self._refusal or self.transport.is_closing()):
            self._start_idle_timer()

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse bytes, and refuse what cannot be read."""
        self._n_unparsed += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(Refusal.head_too_large() if self._is_head_too_large else refusal_of_syntax(error))
            return
        if self._is_head_too_large:
            self._refuse(Refusal.head_too_large())
        elif self._reading is Reading.BODY and self._n_unparsed > MAX_HEAD_BYTES:
            self.transport.abort()
        elif self.pipeline and self._peer is None:
            self._peer = Peer(self.transport, self._version_waiting)

    def _feed(self, data: bytes | memoryview) -> None:
        unparsed = memoryview(data)
        while unparsed:
            try:
                self.parser.feed_data(unparsed)
            except httptools.HttpParserUpgrade as offer:
                unparsed = unparsed[offer.args[0] :]
                self._ignore_upgrade()
            else:
                return

    def _parse_held(self) -> None:
        """Parse what is held, as far as requests may wait and as long as it may take at a time."""
        stop_at_s = time.perf_counter() + PARSING_S
        data, place, is_late = self._held, 0, False
        while place < len(data) and self._may_parse and not is_late:
            end = end_of_slice(data, place, MAX_PIPELINED - len(self.pipeline))
            self._parse(memoryview(data)[place:end])
            place, is_late = end, time.perf_counter() > stop_at_s
        self._held = b"" if self._refusal else data[place:]
        self.flow.holds_unparsed = bool(self._held)
        if self._held:
            self.flow.pause_reading()
            if self._may_parse:
                self.loop.call_soon(self._continue)

    def _continue(self) -> None:
        """Parse more of what is held, if a request may begin."""
        if self._held and self._may_parse:
            self._unset_keepalive_if_required()
            self._parse_held()
            self._wait_for_more()
            if not self._held:
                self.flow.resume_reading()
                if self._is_shutting_down:
                    self.shutdown()

    @property
    def _may_parse(self) -> bool:
        return self._refusal is None and len(self.pipeline) < MAX_PIPELINED and not self.transport.is_closing()

    @override
    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection of a client that has stopped sending if it has a whole request that is not answered."""
        if self._answered is None or self._answered.more_body or not self._is_answering or not IS_AVAILABLE:
            return None
        self._answered.keep_alive = self._refusal is not None  # which is sent behind the answer
        if self._peer is None:
            self._peer = Peer(self.transport, self._version_waiting)
        self._peer.stopped_sending()
        return True

    def _context_of_answer(self) -> RequestContext | None:
        cycle = self._answered
        return None if cycle is None or cycle.response_complete else cycle.scope["state"].get("context")

    def _version_waiting(self) -> str | None:
        cycle = self._answered
        if cycle is None or cycle.response_started:
            return None
        version: str = cycle.scope["http_version"]
        return version

    def _ignore_upgrade(self) -> None:
        """Parse the body of a request that offers an upgrade, which the parser leaves to the other protocol.

        Another parser is given a head with the same framing, so that it expects the body next. `_reading` is BODY then,
        and what a parser reports of a head counts only where one is expected.
        """
        if framing := framing_headers(self.headers):
            self.parser = httptools.HttpRequestParser(self)  # which the headers are reported to
            feed_head(self.parser, framing)

    @override
    def on_message_begin(self) -> None:
        if self._reading is Reading.NOTHING:
            self._reading = Reading.HEAD
            self.idle_deadline = self.loop.time() + self.timeout_keep_alive
            super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is Reading.HEAD:
            super().on_header(name, value.strip(b" \t"))

    @override
    def on_headers_complete(self) -> None:
        if self._reading is Reading.HEAD:
            super().on_headers_complete()
            self._reading = Reading.BODY

    @override
    def on_body(self, body: bytes) -> None:
        self._n_unparsed = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and framing_headers(self.headers):
            return  # `_ignore_upgrade` has the body parsed
        self._n_unparsed = 0
        self._reading = Reading.NOTHING
        super().on_message_complete()

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: App) -> None:
        refusal = refusal_of_head(cycle.scope)
        served: App = app if refusal is None else refusal
        if cycle.scope["http_version"] != "1.1":
            cycle.keep_alive = cycle.waiting_for_100_continue = False
            served = without_chunked_coding(served, cycle)
        self._answered = cycle
        super()._start_asgi_task(cycle, aborting_incomplete(served, cycle))

    @override
    def on_response_complete(self) -> None:
        self.idle_deadline = self.loop.time() + self.timeout_keep_alive
        self._n_unread = math.inf
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._refusal is not None and not self.transport.is_closing():
            self._send_refusal(self._refusal)
        elif self._held:
            self._continue()

    @override
    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; one whose client is still reading its last answer is not idle."""
        self.timeout_keep_alive_task = None
        n_unread = self.transport.get_write_buffer_size()
        if n_unread == 0:
            super().timeout_keep_alive_handler()
        elif n_unread < self._n_unread:
            self._n_unread = n_unread
            self._restart_idle_timeout(self.timeout_keep_alive)
        else:
            self.transport.abort()

    @override
    def shutdown(self) -> None:
        """Close the connection once the requests that have arrived, even in part, are answered."""
        if self._held:
            self._is_shutting_down = True
        elif self._reading is Reading.HEAD:
            self.loop.call_later(HEAD_GRACE_S, super().shutdown)
        else:
            super().shutdown()

    @property
    def _is_head_too_large(self) -> bool:
        is_head = self._reading is Reading.HEAD
        return is_head and (self._n_unparsed > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_idle(self) -> bool:
        """True if no request is being answered, and none has arrived but for a part of its head."""
        return not self._is_answering and self._reading is not Reading.BODY

    def close_idle(self) -> None:
        """Close the connection, which is idle."""
        self.transport.abort()

    def _restart_idle_timeout(self, limit_s: float) -> None:
        self.idle_deadline = self.loop.time() + limit_s
        self._start_idle_timer()

    def _start_idle_timer(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_at(self.idle_deadline, self.timeout_keep_alive_handler)

    def _refuse(self, refusal: Refusal) -> None:
        """Read nothing more, answer the requests before, then send the refusal and close the connection."""
        self._refusal = refusal
        self._held, self.flow.holds_unparsed = b"", False
        if self._reading is not Reading.BODY:
            if not self._is_answering:
                self._send_refusal(refusal)
        elif self.pipeline:  # the request that is refused is the last that waits there
            self.pipeline[0] = (self.cycle, refusal)
        elif self.cycle.response_complete:
            self._linger()
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        self.transport.write(refusal.to_bytes(self.server_state.default_headers))
        self._linger()

    def _linger(self) -> None:
        """End the answer now and the connection later: to close while a client sends may reset what it has to read."""
        self.transport.write_eof()
        self._n_unread = 0
        self._restart_idle_timeout(LINGER_S)
