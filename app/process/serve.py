"""The server process: configures uvicorn from the settings, and runs it."""

import logging
import os
import socket
from contextlib import suppress

import uvicorn

from app.engine.observer import EngineObserver
from app.errors import ManifoldError
from app.main import create_app
from app.process.drain import DrainingServer
from app.process.guard import load_protocol
from app.process.logs import configure_logs
from app.process.tuning import tune_process
from app.settings import Settings

log = logging.getLogger(__name__)


class AddressUnavailable(ManifoldError):
    """The server cannot listen on the host and port of its settings, most often because another process does."""


def serve(settings: Settings, observer: EngineObserver | None = None) -> None:
    """Serve until a signal ends the process. Ctrl-C returns normally.

    Raises:
        AddressUnavailable: the host and port cannot be listened on.
        ManifoldError, ModelsError: the settings name a model that cannot be served (`create_app`).
    """
    configure_logs(settings)
    tune_process()
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has shut down
        app = create_app(settings, observer)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=load_protocol(),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=settings.shutdown_timeout_s,
        )
        listener = listen(settings.host, settings.port, config.backlog)
        DrainingServer(config, listener, app, settings.drain_ms / 1000).run()


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens; port 0 lets the system choose.

    Raises:
        AddressUnavailable: the address is in use, unknown, or not allowed.
    """
    is_ipv6 = ":" in host
    url_host = f"[{host}]" if is_ipv6 else host
    listener = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET)
    if os.name == "posix":  # elsewhere, the option lets two processes share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise AddressUnavailable(f"cannot listen on {url_host}:{port}: {error.strerror}") from error
    log.info("listening on http://%s:%d", url_host, listener.getsockname()[1])
    return listener
