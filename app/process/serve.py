"""The process: uvicorn with the limits of the settings, and a shutdown that loses nothing."""

import asyncio
import ctypes
import logging
import signal
import socket
import struct
import sys
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.process.logs import configure_logs
from app.settings import Settings
from models.allocator import keep_freed_memory

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.001
"""A worker's thread gives the interpreter lock back around every operation of torch, and waits this long for it again
while others are busy. Python's default of 5 ms is longer than a whole small forward pass; where it is much shorter than
this, the threads that decode and render spend their time giving the lock to and fro."""

TURNS_TO_READ = 2
"""Of the event loop, which tells the time before it reads what has come: so many, and all of it is read."""

HANDSHAKE_S = 0.25
"""How long those are waited for whom the kernel has begun to let in."""

_SO_ATTACH_FILTER = 26
"""Of asm-generic/socket.h."""


class Server(uvicorn.Server):
    """Ends without losing a request, even one whose connection the kernel has only just accepted.

    On SIGTERM it drains: unready, every answer closes its connection, the port still open, so that clients and load
    balancers turn away. Then the kernel lets nobody in any more, the port is closed, what was waiting behind it is
    still served, and connections on which nothing has come for as long again are closed.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_s: float) -> None:
        super().__init__(config)
        self._app, self._drain_s = app, drain_s
        self._listener = config.bind_socket()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the bound socket, and keep a hold on it beyond the end of listening."""
        self._loop = asyncio.get_running_loop()
        self._backlog = self._listener.dup()
        await super().startup([self._listener])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first SIGTERM; a second signal, and SIGINT, end it without."""
        if sig != signal.SIGTERM or self._app.state.lifecycle.is_draining:
            super().handle_exit(sig, frame)
            return
        self._app.state.lifecycle.is_draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_s, super().handle_exit, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, serve what waited behind it, then finish as uvicorn does."""
        drain_s = self._drain_s if self._app.state.lifecycle.is_draining else 0.0
        accept_no_more(self._listener)
        await asyncio.sleep(min(drain_s, HANDSHAKE_S))
        for server in self.servers:
            server.close()
        await self._serve_backlog()
        await asyncio.sleep(drain_s)
        for _ in range(TURNS_TO_READ):
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    async def _serve_backlog(self) -> None:
        """Close the port for good once every connection that the kernel completed behind it is accepted."""
        await asyncio.sleep(0)  # the loop closes its own handle
        self._listener.close()
        self._backlog.setblocking(False)
        while True:
            try:
                connection, _ = self._backlog.accept()
            except ConnectionAbortedError:  # one that waited has gone
                continue
            except BlockingIOError:
                break
            except OSError as error:
                log.warning("connections that waited behind the port are reset: %s", error)
                break
            await self._loop.connect_accepted_socket(self._protocol, connection)
        self._backlog.close()

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def accept_no_more(listener: socket.socket) -> None:
    """From now on, the kernel lets no new connection in, and keeps those that wait.

    To close the port resets whoever comes between the last of these and the closing. A client that comes now hears
    nothing, asks again after a second, and is told then that the port is closed. The packets that open a connection,
    those with SYN and without ACK, are dropped by a filter on the listening socket (`man 7 socket`, SO_ATTACH_FILTER).
    Elsewhere than on Linux nothing happens.
    """
    if sys.platform != "linux":
        return
    flags_of_tcp, syn, ack = 13, 0x02, 0x10
    load_byte, keep_bits, skip_unless, give = 0x30, 0x54, 0x15, 0x06  # linux/bpf_common.h
    program = [
        (load_byte, 0, 0, flags_of_tcp),
        (keep_bits, 0, 0, syn | ack),
        (skip_unless, 0, 1, syn),
        (give, 0, 0, 0),
        (give, 0, 0, 0xFFFFFFFF),  # bytes: all of them
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filtering = struct.pack("HP", len(program), ctypes.addressof(code))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtering)
    except OSError as error:
        log.warning("connections that come while the port closes may be reset: %s", error)


def serve(settings: Settings) -> None:
    """Serve until a signal ends it."""
    configure_logs(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_freed_memory()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
    Server(config, app, settings.drain_ms / 1000).run()
