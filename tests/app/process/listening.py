"""A port of uvicorn with the server's own protocol, and small applications behind it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn

from app.process.uvicorn_protocol import Protocol

TIMEOUT_S = 10

REQUEST = b"POST /encode HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
LAST_REQUEST = REQUEST.replace(b"host: x", b"host: x\r\nconnection: close")


async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that answers with an empty body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def listening(
    app: Any,
    protocol: type[asyncio.Protocol] = Protocol,
    *,
    keep_alive_s: float = 5,
) -> AsyncIterator[int]:
    """Serve on a port. At the end, every connection must have been closed."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=protocol, ws="none", lifespan="off", log_config=None, date_header=False)
    )
    server.config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment] # a fraction serves as well
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
        async with asyncio.timeout(TIMEOUT_S):
            while server.server_state.connections:
                await asyncio.sleep(0.01)
    finally:
        server.should_exit = server.force_exit = True
        await serving


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


async def answered(port: int, request: bytes) -> bytes:
    """All that comes back until the connection ends."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        await close(writer)
    return answer


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection when all that was written is sent, so that its socket does not outlive the event loop."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class RecordingTransport(asyncio.Transport):
    """Keeps what is written to it, and is connected to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_read = True

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def close(self) -> None:
        pass
