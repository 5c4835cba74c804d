"""When a connection is read, and what happens while its client does not read.

This module uses uvicorn's private names, as `app.process.uvicorn_protocol` does.
"""

import asyncio
from collections.abc import Callable, Collection

from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl

from app.concurrency.request_memory import RequestMemory
from app.http.context import RequestContext
from app.process.unread import UnreadAnswer


class ConnectionFlow(FlowControl):
    """Stops reading from a client while pipelined requests wait for the answer to an earlier request.

    uvicorn resumes at every answer, and whenever an application reads a body: the waiting requests have no limit.

    While a client does not read, the memory of its answer is counted, and others may need it.

    Attributes:
        holds_unparsed: True while some of what has been read is not parsed yet.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        pipeline: Collection[object],
        memory: RequestMemory | None,
        context_of_answer: Callable[[], RequestContext | None],
    ) -> None:
        """Prepare for one connection.

        Args:
            transport: the connection.
            pipeline: the requests that wait for the answer to an earlier one.
            memory: the memory of all requests; None if it is not counted.
            context_of_answer: returns the context of the request whose answer has begun and is not complete, if any.
        """
        super().__init__(transport)
        self._pipeline, self._memory, self._context_of_answer = pipeline, memory, context_of_answer
        self._unread: UnreadAnswer | None = None
        self.holds_unparsed = False

    @override
    def resume_reading(self) -> None:
        if not self._pipeline and not self.holds_unparsed:
            super().resume_reading()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._memory is not None and self._unread is None:
            self._unread = UnreadAnswer(self._memory, self._transport, self._context_of_answer())

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.end()
            self._unread = None
