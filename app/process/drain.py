"""A shutdown that loses no request, not even one whose connection the kernel has only just accepted."""

import asyncio
import ctypes
import logging
import selectors
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from app.process.exit_deadline import ExitDeadline

log = logging.getLogger(__name__)

N_READ_ITERATIONS = 2
"""Number of iterations after which the event loop has read all that had arrived. In each, a coroutine that awaits
`sleep(0)` resumes before the loop reads."""
HANDSHAKE_S = 0.25
"""Time in seconds that is left for TCP handshakes that have begun."""
BACKLOG_S = 5.0
"""Longest time in seconds for which connections that the kernel has completed are still accepted."""

END_S = 2.5
"""Time in seconds before the end of the process at which requests that still run are cancelled."""

_SO_ATTACH_FILTER = 26
"""Socket option of asm-generic/socket.h, which Python does not name."""


@dataclass(frozen=True, kw_only=True)
class ShutdownTimes:
    """The times of a shutdown in seconds.

    Attributes:
        drain_s: how long the port stays open after the signal.
        end_s: the time after that within which the process ends, whatever is still running.
    """

    drain_s: float
    end_s: float

    @property
    def last_s(self) -> float:
        """The time before the end at which running requests are cancelled: `END_S`, or half of a short time."""
        return min(END_S, self.end_s / 2)


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains before it shuts down.

    On SIGTERM or SIGINT the server becomes unready, and every answer closes its connection, but the port stays open for
    `drain_s`, so that clients and load balancers can leave. Then the kernel stops accepting connections, those that it
    has accepted are served, and the port is closed. After `drain_s` once more, connections on which nothing has arrived
    are closed. Requests that still run shortly before the end are cancelled, and `end_s` after the first `drain_s` the
    process ends in any case. A second signal skips all waiting.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        app: FastAPI,
        times: ShutdownTimes,
        on_started: Callable[[], None] | None = None,
    ) -> None:
        """Prepare to serve an application. `on_started` is called on the event loop once it has started."""
        super().__init__(config)
        self._on_started = on_started
        self._listener, self._app, self._times = listener, app, times
        self._exit = ExitDeadline()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_hurried = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._exit.watch()
        await super().startup([self._listener])
        if self._on_started is not None:
            self._on_started()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        lifecycle = self._app.state.lifecycle
        if lifecycle.is_draining:
            self._skip_waiting(sig, frame)
            return
        lifecycle.is_draining = True
        self._exit.begin(sig, self._times.drain_s + self._times.end_s)
        leave = super().handle_exit
        if self._loop is None:
            leave(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._times.drain_s, leave, sig, frame)

    def _skip_waiting(self, sig: int, frame: FrameType | None) -> None:
        """Follow a second signal: uvicorn waits for no request any more."""
        if not self.should_exit:
            super().handle_exit(sig, frame)
        self.force_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._is_hurried.set)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        spare_s = self._exit.remaining_s - self._times.last_s
        drain_s = max(0.0, min(self._times.drain_s, spare_s / 2))
        accept_no_more(self._listener)
        await self._pause(min(drain_s, HANDSHAKE_S))
        await self._accept_backlog()
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)  # the event loop closes its handle of the socket
        self._listener.close()
        await self._pause(drain_s)
        for _ in range(N_READ_ITERATIONS):
            await asyncio.sleep(0)
        remaining_s = max(0.0, self._exit.remaining_s - self._times.last_s)
        self.config.timeout_graceful_shutdown = remaining_s  # type: ignore[assignment] # asyncio takes fractions
        await super().shutdown(sockets)
        if self.force_exit:  # then uvicorn leaves out this step
            await self.lifespan.shutdown()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless a second signal skips it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_hurried.wait(), seconds)

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
