"""The server process: configures uvicorn from the settings, and runs it."""

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_address
from typing import cast

import uvicorn

from app.engine.observer import EngineObserver
from app.errors import ManifoldError
from app.main import create_app
from app.process.connections import OpenConnections, max_connections
from app.process.drain import DrainingServer, ShutdownTimes
from app.process.guard import load_protocol
from app.process.hangups import Hangups
from app.process.logs import configure_logs
from app.process.reload import SettingsReload
from app.process.tuning import tune_process
from app.services import Services
from app.settings import Settings

log = logging.getLogger(__name__)


UNSENT_BYTES = 2**17
"""Maximum number of bytes that the system takes of an answer before it sends them. Without this limit, it keeps 4 MB
for each client that does not read; the throughput is the same (`man 7 tcp`, TCP_NOTSENT_LOWAT)."""
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Time in seconds after which the system asks an idle client whether it is still there, the time between two such
questions, and how many of them may remain without answer until the connection is reset."""
BACKLOG = 2048
"""Number of connections that may wait behind the port."""
FIRST_UNPRIVILEGED_PORT = 1024


class AddressUnavailable(ManifoldError):
    """Error: the server cannot listen on the host and port of its settings, most often because the port is in use."""

    def __init__(self, host: str, port: int, error: OSError | UnicodeError) -> None:
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EADDRINUSE:
            reason = f"Port {port} of {host} is in use by another program. Stop it, or choose another port with --port."
        elif number == errno.EACCES and port < FIRST_UNPRIVILEGED_PORT:
            reason = f"Port {port} of {host} may not be used without administrator rights. "
            reason += f"Choose one of {FIRST_UNPRIVILEGED_PORT} or more with --port."
        elif isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
            reason = f"This machine has no address {host} to listen on. "
            reason += "Choose 127.0.0.1 with --host for this machine only, or 0.0.0.0 for all its network interfaces."
        else:
            reason = f"The server cannot listen on port {port} of {host}: {error.strerror or error}."
        super().__init__(reason)


def serve(
    settings: Settings,
    observer: EngineObserver | None = None,
    read_again: Callable[[], Settings] | None = None,
    hangups: Hangups | None = None,
) -> None:
    """Serve until a signal ends the process. Ctrl-C returns normally.

    At SIGHUP, the settings that `read_again` returns are applied, as far as they can change while the server runs. It
    raises `ManifoldError` or `ModelsError` if they are wrong. `hangups` has noted the signals that came before.

    Raises:
        AddressUnavailable: the host and port cannot be listened on.
        ManifoldError, ModelsError: the settings name a model that cannot be served (`create_app`).
    """
    if hangups is None:
        hangups = Hangups()
        hangups.install()
    with ExitStack() as stack:
        listener = stack.enter_context(listen(settings.host, settings.port))
        stack.enter_context(suppress(KeyboardInterrupt))  # which uvicorn raises again once it has shut down
        stack.callback(hangups.ignore)
        configure_logs(settings)
        tune_process()
        reload = SettingsReload(read_again, hangups) if read_again is not None else None
        app = create_app(settings, observer)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=load_protocol(OpenConnections(max_connections(settings.max_connections), app.state.memory)),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_s,
        )
        url_host = f"[{settings.host}]" if ":" in settings.host else settings.host
        log.info("listening on http://%s:%d", url_host, listener.getsockname()[1])
        if not app.state.keys.is_enabled and not is_loopback(listener):
            log.warning(
                "no API keys are set: whoever reaches the port can use the models; `manifold keys new` makes one"
            )
        on_started = None if reload is None else partial(reload.start, cast("Services", app.state))
        times = ShutdownTimes(drain_s=settings.drain_ms / 1000, end_s=settings.shutdown_timeout_s)
        DrainingServer(config, listener, app, times, on_started).run()


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only programs of this machine can reach a socket that listens."""
    return ip_address(listener.getsockname()[0]).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 lets the system choose.

    Raises:
        AddressUnavailable: the address is in use, unknown, or not allowed.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name == "posix":  # elsewhere, the option lets two processes share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
        _set_options_of_connections(listener)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is empty or too long
        listener.close()
        raise AddressUnavailable(host, port, error) from error
    return listener


def _set_options_of_connections(listener: socket.socket) -> None:
    """Set the options of a socket that its connections inherit, as far as the system has them."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**KEEPALIVE, "TCP_NOTSENT_LOWAT": UNSENT_BYTES}.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
