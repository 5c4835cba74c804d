"""A shutdown that loses no request, not even one whose connection the kernel has only just accepted."""

import asyncio
import ctypes
import logging
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

log = logging.getLogger(__name__)

N_READ_ITERATIONS = 2
"""Number of iterations after which the event loop has read all that had arrived. In each, a coroutine that awaits
`sleep(0)` resumes before the loop reads."""
HANDSHAKE_S = 0.25
"""Time in seconds that is left for TCP handshakes that have begun."""
BACKLOG_S = 5.0
"""Longest time in seconds for which connections that the kernel has completed are still accepted."""

_SO_ATTACH_FILTER = 26
"""Socket option of asm-generic/socket.h, which Python does not name."""


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains before it shuts down.

    On SIGTERM the server becomes unready, and every answer closes its connection, but the port stays open for
    `drain_s`, so that clients and load balancers can leave. Then the kernel stops accepting connections, those that it
    has accepted are served, and the port is closed. After `drain_s` once more, connections on which nothing has arrived
    are closed. A second signal, or SIGINT, skips the waiting.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        app: FastAPI,
        drain_s: float,
        on_started: Callable[[], None] | None = None,
    ) -> None:
        """Prepare to serve an application. `on_started` is called on the event loop once it has started."""
        super().__init__(config)
        self._on_started = on_started
        self._listener, self._app, self._drain_s = listener, app, drain_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_draining = False

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup([self._listener])
        if self._on_started is not None:
            self._on_started()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGTERM or self._is_draining or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._is_draining = self._app.state.lifecycle.is_draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_s, super().handle_exit, sig, frame)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain_s = self._drain_s if self._is_draining else 0.0
        accept_no_more(self._listener)
        await asyncio.sleep(min(drain_s, HANDSHAKE_S))
        await self._accept_backlog()
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)  # the event loop closes its handle of the socket
        self._listener.close()
        await asyncio.sleep(drain_s)
        for _ in range(N_READ_ITERATIONS):
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    async def _accept_backlog(self) -> None:
        """Wait until the event loop has accepted every connection that the kernel holds for this port."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BACKLOG_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while selector.select(0):
                if loop.time() > deadline:
                    log.warning("connections that wait to be accepted are reset, because new ones keep arriving")
                    return
                await asyncio.sleep(0)


def accept_no_more(listener: socket.socket) -> None:
    """Make the kernel ignore new connections to a listening socket, and keep those that wait to be accepted.

    Closing the port would reset whoever connects between the last `accept` and the closing. A client that connects
    after this call receives nothing, tries again after a second, and learns then that the port is closed. A filter on
    the socket drops the packets that open a connection, those with SYN and without ACK (`man 7 socket`,
    SO_ATTACH_FILTER). Only Linux has such filters; elsewhere this function does nothing.
    """
    if sys.platform != "linux":
        return
    tcp_flags_offset, syn, ack = 13, 0x02, 0x10
    load_byte, and_bits, jump_if_equal, accept_bytes = 0x30, 0x54, 0x15, 0x06  # linux/bpf_common.h
    program = [
        (load_byte, 0, 0, tcp_flags_offset),
        (and_bits, 0, 0, syn | ack),
        (jump_if_equal, 0, 1, syn),
        (accept_bytes, 0, 0, 0),
        (accept_bytes, 0, 0, 0xFFFFFFFF),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    socket_filter = struct.pack("HP", len(program), ctypes.addressof(code))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, socket_filter)
    except OSError as error:
        log.warning("connections that arrive while the port closes may be reset: %s", error)
