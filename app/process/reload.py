"""SIGHUP: reads the settings again, and applies those that can change while the server runs."""

import asyncio
import logging
from collections.abc import Callable

from app.errors import ManifoldError
from app.process.hangups import Hangups
from app.registry.background import call_in_background
from app.services import Services
from app.settings import RELOADABLE, Settings
from models.errors import ModelsError

log = logging.getLogger(__name__)


class SettingsReload:
    """Reads the settings again at each SIGHUP. What is wrong with them is logged, and the old ones stay in force.

    Signals that arrive while settings are read or applied, or before the server has started, are followed once
    afterwards.
    """

    def __init__(self, read: Callable[[], Settings], hangups: Hangups) -> None:
        """Prepare to apply what `read` returns; it raises `ManifoldError` or `ModelsError` where that is wrong."""
        self._read, self._hangups = read, hangups
        self._services: Services | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, services: Services) -> None:
        """Follow signals from now on. Must be called on the event loop, once the application has started."""
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._hangups.follow(self._wake)
        self._follow()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        is_running = self._task is not None and not self._task.done()
        if self._services is not None and self._hangups.is_requested and not is_running:
            self._task = asyncio.create_task(self._reload_while_requested(self._services))

    async def _reload_while_requested(self, services: Services) -> None:
        while self._hangups.is_requested:
            self._hangups.is_requested = False
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
        settings = await call_in_background(self._read)
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
