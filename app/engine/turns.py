"""How many forward passes of all models run at the same time on a CPU."""

import threading
import time
from collections import deque

from app.settings import N_CORES, Settings

PATIENCE_S = 0.05
"""Time in seconds without any turn given back, after which the thread that has waited longest goes on without one."""


class ForwardTurns:
    """A lock that a few threads may hold at the same time. Those that wait get it in the order of their arrival.

    Threads that run forward passes give up the interpreter lock in every operation of torch and wait for it again. When
    dozens of them do so, the event loop waits for all of them, and each of them for all the others. A thread whose
    operations are long hardly takes part in this, so that it need not be waited for: see `PATIENCE_S`.
    """

    def __init__(self, n_turns: int) -> None:
        """Let `n_turns` threads hold the lock at the same time."""
        self._lock = threading.Lock()
        self._n_free = n_turns
        self._waiting: deque[threading.Lock] = deque()
        self._moved_on_at = 0.0

    @classmethod
    def of(cls, settings: Settings) -> "ForwardTurns":
        """Return as many turns as keep all cores busy, and at least as many as one model has workers."""
        return cls(max(settings.workers, N_CORES // settings.torch_threads))

    def acquire(self, *, timeout: float = 0.0) -> bool:
        """Wait for a turn. Return False if the thread is to go on without one, which it must not release then."""
        with self._lock:
            if self._n_free:
                self._n_free -= 1
                return True
            granted = threading.Lock()
            granted.acquire()
            self._waiting.append(granted)
        while not granted.acquire(timeout=PATIENCE_S):
            with self._lock:
                is_first = bool(self._waiting) and self._waiting[0] is granted
                if is_first and time.monotonic() > self._moved_on_at + PATIENCE_S:
                    self._waiting.popleft()
                    self._moved_on_at = time.monotonic()
                    return False
        return True

    def release(self) -> None:
        """Give a turn back, to whoever has waited longest."""
        with self._lock:
            self._moved_on_at = time.monotonic()
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._n_free += 1
