"""The time by which the process ends after a signal, whatever is still running."""

import logging
import os
import signal
import threading
import time

log = logging.getLogger(__name__)

EXIT_CODE_OF_SIGNALS = 128
"""Exit code of a program that a signal ended, as shells report it, less the number of the signal."""
ALARM_AFTER_S = 1.0
"""Time in seconds after that in which the kernel ends a process whose interpreter is held by C code."""


class ExitDeadline:
    """Ends the process at a given time after a signal. A thread waits for this from the start on.

    Python waits at its exit for threads that are stuck in C or on a disk. So the process ends without that.
    """

    def __init__(self) -> None:
        self._has_begun = threading.Event()
        self._signal, self._within_s, self._at_s = 0, 0.0, 0.0

    def watch(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._wait, name="exit-deadline", daemon=True).start()

    def begin(self, number: int, within_s: float) -> None:
        """Let the process end within this time. May be called by a handler of signals, on the main thread.

        Args:
            number: the number of the signal.
            within_s: the time in seconds.
        """
        self._signal, self._within_s, self._at_s = number, within_s, time.monotonic() + within_s
        if hasattr(signal, "setitimer"):  # which Windows lacks
            signal.setitimer(signal.ITIMER_REAL, within_s + ALARM_AFTER_S)
        self._has_begun.set()

    @property
    def remaining_s(self) -> float:
        """The time that is left, in seconds; 0 if it has not begun."""
        return max(0.0, self._at_s - time.monotonic()) if self._has_begun.is_set() else 0.0

    def _wait(self) -> None:
        self._has_begun.wait()
        time.sleep(self.remaining_s)
        log.critical("the process ends with work undone: the signal came %g seconds ago", self._within_s)
        os._exit(EXIT_CODE_OF_SIGNALS + self._signal)
