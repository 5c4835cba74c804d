"""SIGHUP: noted from the first moment of the command on, so that it never ends the process."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


class Hangups:
    """Handles SIGHUP, on systems that have it. Only the main thread can.

    Attributes:
        is_requested: a signal has arrived that nothing has followed yet.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._on_hangup: Callable[[], None] | None = None

    def install(self) -> None:
        """Note signals from now on. This module is imported before those that take seconds."""
        if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self._handle)

    def follow(self, on_hangup: Callable[[], None]) -> None:
        """Call a function at each signal from now on, beside noting it."""
        self._on_hangup = on_hangup

    def ignore(self) -> None:
        """Ignore signals from now on, also while Python ends, which resets handlers."""
        self._on_hangup = None
        if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.is_requested = True
        if self._on_hangup is not None:
            self._on_hangup()
