"""SIGHUP: reads the settings again, and applies those that can change while the server runs."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType

from app.errors import ManifoldError
from app.services import Services
from app.settings import RELOADABLE, Settings
from models.errors import ModelsError

log = logging.getLogger(__name__)


class SettingsReload:
    """Reads the settings again at each SIGHUP. What is wrong with them is logged, and the old ones stay in force.

    Signals that arrive while settings are read or applied, or before the server has started, are followed once
    afterwards.
    """

    def __init__(self, read: Callable[[], Settings]) -> None:
        """Prepare to apply what `read` returns; it raises `ManifoldError` or `ModelsError` where that is wrong."""
        self._read = read
        self._services: Services | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_requested = False

    def install(self) -> None:
        """Handle SIGHUP from now on, on systems that have it. Only the main thread can."""
        if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self._handle_signal)

    def start(self, services: Services) -> None:
        """Follow signals from now on. Must be called on the event loop, once the application has started."""
        self._services, self._loop = services, asyncio.get_running_loop()
        self._follow()

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        self._is_requested = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        is_running = self._task is not None and not self._task.done()
        if self._services is not None and self._is_requested and not is_running:
            self._task = asyncio.create_task(self._reload_while_requested(self._services))

    async def _reload_while_requested(self, services: Services) -> None:
        while self._is_requested:
            self._is_requested = False
            if services.lifecycle.is_draining:
                log.warning("the settings are not read again, because the server is shutting down")
                return
            try:
                await self._reload(services)
            except (ManifoldError, ModelsError) as error:
                log.error("the settings are wrong, and the old ones stay in force: %s", error)
            except Exception:
                log.exception("the settings could not be applied")

    async def _reload(self, services: Services) -> None:
        settings = await asyncio.to_thread(self._read)
        changed = await services.apply(settings)
        logging.getLogger().setLevel(settings.log_level.upper())
        fixed = [
            name
            for name in Settings.model_fields
            if name not in RELOADABLE and getattr(settings, name) != getattr(services.settings, name)
        ]
        if fixed:
            log.warning("changed settings that need a restart to take effect: %s", ", ".join(fixed))
        log.info("the settings were read again; changed: %s", ", ".join(changed) or "none")
