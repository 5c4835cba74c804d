"""HTTP/1.1 as uvicorn has it, but for how answers are written: their head together with their body."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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
    """uvicorn's, on a `Joined` transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))
