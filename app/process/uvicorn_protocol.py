"""HTTP/1.1 connections: uvicorn's protocol, with stricter rules.

This is the only module that uses uvicorn's private names: those in `ATTRIBUTES`, and methods that are marked by
`@override`. `app.process.guard` looks for them in the installed version before a server starts.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any

import httptools
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.process.refusals import MAX_HEAD_BYTES, Refusal, refusal_of_head, refusal_of_syntax

HEAD_GRACE_S = 1.0
"""Time in seconds in which a head that has begun to arrive must be complete once the server shuts down."""
LINGER_S = 2.0
"""Time in seconds for a refused client to read the answer and to hang up; what it still sends is discarded."""

_FRAMING = (b"content-length", b"transfer-encoding")
"""Names of the headers that determine where a body ends."""

ATTRIBUTES: dict[type, tuple[str, ...]] = {
    HttpToolsProtocol: (
        *("transport", "flow", "parser", "loop", "headers", "cycle", "pipeline", "server_state"),
        *("timeout_keep_alive", "timeout_keep_alive_task", "_unset_keepalive_if_required"),
    ),
    RequestResponseCycle: (
        *("scope", "transport", "message_event", "disconnected", "keep_alive", "waiting_for_100_continue"),
        *("response_started", "response_complete", "chunked_encoding", "expected_content_length"),
    ),
    ServerState: ("default_headers",),
    FlowControl: ("write_paused",),
}
"""Attributes of uvicorn's objects that this module uses, by class, besides the methods that it overrides."""

App = Callable[[Any, Any, Any], Awaitable[None]]


def make_instances() -> tuple[object, ...]:
    """Return an instance of each class in `ATTRIBUTES`, only to look up its attributes."""
    config = uvicorn.Config(_no_app, ws="none", lifespan="off", log_config=None)
    nothing: Any = object()
    state, arguments = ServerState(), [nothing] * len(inspect.signature(RequestResponseCycle).parameters)
    return HttpToolsProtocol(config, state, {}, nothing), RequestResponseCycle(*arguments), state, FlowControl(nothing)


async def _no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Do nothing; used as an application that is never called."""


class PipelineFlow(FlowControl):
    """Stops reading from a client while pipelined requests wait for the answer to an earlier request.

    uvicorn resumes at every answer, and whenever an application reads a body: the waiting requests have no limit.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Collection[object]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    @override
    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class Reading(Enum):
    """The part of a request that is arriving."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


class Protocol(HttpToolsProtocol):
    """One connection, as uvicorn serves it, with stricter rules.

    - A connection on which no complete head arrives within the keep-alive timeout is closed.
    - A head of more than `MAX_HEAD_BYTES` is refused with 431; malformed requests, and those without exactly one valid
      Host, with 400. Refusals are problem details, sent in order after the answers to earlier requests.
    - An offer to upgrade is ignored (RFC 9110, 7.8): the request, with its body, is answered as HTTP/1.1.
    - Clients of HTTP/1.0 receive neither chunked coding nor `100 Continue`, and every answer ends the connection.
    - White space around header values is removed (RFC 9110, 5.5), and trailers are not mixed with headers (6.5.1).
    - Pipelined requests are read only as fast as they are answered.
    - If the application does not complete an answer, the connection is aborted.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._reading = Reading.NOTHING
        self._n_unparsed = 0  # bytes received since the parser last reported a part of a body or the end of a request
        self._idle_deadline = 0.0
        self._n_unread: float = math.inf  # bytes that the client had not read when the idle timer last fired
        self._refusal: Refusal | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        self._restart_idle_timeout(self.timeout_keep_alive)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._unset_keepalive_if_required()
        self._n_unparsed += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(Refusal.head_too_large() if self._is_head_too_large else refusal_of_syntax(error))
            return
        if self._is_head_too_large:
            self._refuse(Refusal.head_too_large())
        elif self._reading is Reading.BODY and self._n_unparsed > MAX_HEAD_BYTES:
            self.transport.abort()
        elif not self._is_answering and not self.transport.is_closing():
            self._start_idle_timer()

    def _parse(self, data: bytes) -> None:
        unparsed = memoryview(data)
        while unparsed:
            try:
                self.parser.feed_data(unparsed)
            except httptools.HttpParserUpgrade as offer:
                unparsed = unparsed[offer.args[0] :]
                self._ignore_upgrade()
            else:
                return

    def _ignore_upgrade(self) -> None:
        """Parse the body of a request that offers an upgrade, which the parser leaves to the other protocol.

        Another parser is given a head with the same framing, so that it expects the body next. `_reading` is BODY then,
        and what a parser reports of a head counts only where one is expected.
        """
        if framing := self._framing_headers():
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(b"%s: %s\r\n" % header for header in framing))

    def _framing_headers(self) -> list[tuple[bytes, bytes]]:
        return [header for header in self.headers if header[0] in _FRAMING]

    @override
    def on_message_begin(self) -> None:
        if self._reading is Reading.NOTHING:
            self._reading = Reading.HEAD
            self._idle_deadline = self.loop.time() + self.timeout_keep_alive
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
        if self.parser.should_upgrade() and self._framing_headers():
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
            served = _without_chunked_coding(served, cycle)
        super()._start_asgi_task(cycle, _aborting_incomplete(served, cycle))

    @override
    def on_response_complete(self) -> None:
        self._idle_deadline = self.loop.time() + self.timeout_keep_alive
        self._n_unread = math.inf
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._refusal is not None and not self.transport.is_closing():
            self._send_refusal(self._refusal)

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
        if self._reading is Reading.HEAD:
            self.loop.call_later(HEAD_GRACE_S, super().shutdown)
        else:
            super().shutdown()

    @property
    def _is_head_too_large(self) -> bool:
        return self._reading is Reading.HEAD and self._n_unparsed > MAX_HEAD_BYTES

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _restart_idle_timeout(self, limit_s: float) -> None:
        self._idle_deadline = self.loop.time() + limit_s
        self._start_idle_timer()

    def _start_idle_timer(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_at(self._idle_deadline, self.timeout_keep_alive_handler)

    def _refuse(self, refusal: Refusal) -> None:
        """Read nothing more, answer the requests before, then send the refusal and close the connection."""
        self._refusal = refusal
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


def _aborting_incomplete(app: App, cycle: RequestResponseCycle) -> App:
    """Wrap an application so that the connection is aborted if it ends before its answer does.

    uvicorn closes the connection, which waits for a client that perhaps reads nothing any more.
    """

    async def run(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        finally:
            if cycle.response_started and not (cycle.response_complete or cycle.disconnected):
                cycle.transport.abort()

    return run


def _without_chunked_coding(app: App, cycle: RequestResponseCycle) -> App:
    """Wrap an application so that a body of unknown length is sent as it is (RFC 9112, 6.1 and 6.3)."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        has_length = False

        async def send_as_it_is(message: Any) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                headers = [header for header in message.get("headers", ()) if header[0].lower() != b"transfer-encoding"]
                message = {**message, "headers": headers}
                has_length = any(name.lower() == b"content-length" for name, _ in headers)
                cycle.chunked_encoding = None if has_length else False
            elif not has_length:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await app(scope, receive, send_as_it_is)
        finally:
            if not cycle.response_started:  # uvicorn answers for the application
                cycle.chunked_encoding = None

    return run
