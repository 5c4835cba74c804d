"""Wrappers of the application that mend how uvicorn ends answers, and how it answers clients of HTTP/1.0."""

from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

App = Callable[[Any, Any, Any], Awaitable[None]]


def aborting_incomplete(app: App, cycle: RequestResponseCycle) -> App:
    """Wrap an application so that the connection is aborted if it ends before its answer does.

    uvicorn closes the connection, which waits for a client that perhaps reads nothing any more.
    """

    async def run(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        finally:
            if cycle.response_started and not (cycle.response_complete or cycle.disconnected):
                cycle.disconnected = True  # so that uvicorn does not log an error: the access log has the reason
                cycle.transport.abort()

    return run


def without_chunked_coding(app: App, cycle: RequestResponseCycle) -> App:
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
