"""HTTP/1.1 as uvicorn has it, but for the system calls of an answer, and for what is refused at the door."""

import asyncio
from typing import Any, cast

from fastapi import FastAPI
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.door import Door


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
        self._held: list[bytes] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))

    def on_headers_complete(self) -> None:
        """Called by the parser. Where the door is watched, the application is told only once the body is there."""
        if self._door.is_watched and self._may_be_refused():
            self._held = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        held, self._held = self._held, None
        if held is not None:
            body = b"".join(held)
            refusal = self._door.refusal(self.url.decode("latin-1"), self.headers, body)
            if refusal is not None:
                self._write(refusal)
                self.on_response_complete()
                return
            super().on_headers_complete()
            super().on_body(body)
        super().on_message_complete()

    def _write(self, answer: Response) -> None:
        """Without the application, but with all that uvicorn adds."""
        headers = (b": ".join(header) for header in (*self.server_state.default_headers, *answer.raw_headers))
        head = STATUS_LINE[answer.status_code] + b"\r\n".join((*headers, b"", b""))
        self.transport.write(head + bytes(answer.body))

    def _may_be_refused(self) -> bool:
        is_next = self.cycle is None or self.cycle.response_complete
        is_plain = self.parser.get_method() == b"POST" and self.parser.should_keep_alive()
        return is_next and is_plain and self._door.looks_at(self.url.decode("latin-1"), self.headers)
