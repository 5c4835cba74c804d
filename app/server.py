"""The process: uvicorn with the limits of the settings, and a shutdown that loses nothing."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.logs import configure_logs
from app.main import create_app
from app.settings import Settings

SWITCH_INTERVAL_S = 0.0005
"""The worker's thread gives the interpreter lock back around every operation of torch, and waits this long for it again
while the event loop is busy. Python's default of 5 ms is longer than a whole small forward pass."""


class Server(uvicorn.Server):
    """On SIGTERM first drains: unready, every answer closes its connection, the port still open.

    Clients and load balancers thus turn away before the port closes, and no request meets a closing connection.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_s: float) -> None:
        super().__init__(config)
        self._app, self._drain_s = app, drain_s
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop, for signals arrive outside of it."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first SIGTERM; anything else, and a second signal, ends at once what uvicorn ends at once."""
        if sig != signal.SIGTERM or self._loop is None or self._app.state.draining:
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_s, super().handle_exit, sig, frame)


def serve(settings: Settings) -> None:
    """Serve until a signal ends it."""
    configure_logs(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
    Server(config, app, settings.drain_ms / 1000).run()
