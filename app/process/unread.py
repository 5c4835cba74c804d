"""Answers that wait for a client to read them: their memory is counted, and given to requests that need it."""

import asyncio
import logging
import time
from contextlib import suppress

from app.concurrency.request_memory import RequestMemory
from app.errors import ClientDisconnected, ManifoldError, MemoryExhausted, PayloadTooLarge
from app.http.context import RequestContext

log = logging.getLogger(__name__)


class UnreadAnswer:
    """What a connection holds while its client does not read, from the creation of this object until `end`."""

    def __init__(self, memory: RequestMemory, transport: asyncio.Transport, context: RequestContext | None) -> None:
        """Count the memory, and let other requests take it.

        Args:
            memory: the memory of all requests.
            transport: the connection, with the bytes that the client has not read.
            context: that of the request whose answer is not complete; None if the connection has the whole answer.
        """
        self._transport, self._context = transport, context
        self._loop = asyncio.get_running_loop()
        self._is_dropped = False
        self._share = memory.open_share()
        with suppress(MemoryExhausted, PayloadTooLarge):  # the bytes are there in any case
            self._share.claim(transport.get_write_buffer_size())
        self._share.may_be_dropped(self._drop)
        if context is not None:
            context.memory.may_be_dropped(self._drop)

    def end(self) -> None:
        """Keep the memory of the request, because the client reads, or give that of the connection back at its end."""
        if self._context is not None:
            self._context.memory.may_be_dropped(None)
        self._share.close()

    def _drop(self) -> None:
        self._loop.call_soon_threadsafe(self._end_request)

    def _end_request(self) -> None:
        if self._is_dropped or self._transport.is_closing():
            return
        self._is_dropped = True
        log.warning("an answer that its client does not read is dropped, because other requests need the memory")
        if self._context is None:
            self._transport.abort()
        else:  # the request ends with an error, and with it the connection
            self._context.timer.end_at(time.monotonic(), _not_read)


def _not_read() -> ManifoldError:
    return ClientDisconnected("the client did not read its answer, and other requests needed the memory")
