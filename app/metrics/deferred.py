"""Counting that is put off, so that many requests are counted at once."""

import threading
from collections.abc import Callable
from typing import Any

GROUP = 256
"""Number of calls that are made together."""


class DeferredCalls:
    """Calls of functions that are made in groups, in their order. Thread-safe.

    A request touches so much other code that the code which counts it has left the processor's caches by the next
    request. It stays there while many requests are counted one after another, which therefore takes less time.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._lock = threading.Lock()

    def add(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function with these arguments, now or later."""
        calls = self._calls
        calls.append((function, arguments))
        if len(calls) >= GROUP:
            self.run()

    def run(self) -> None:
        """Make all calls that are due. Those that other threads add meanwhile stay."""
        with self._lock:
            n_calls = len(self._calls)
            due = self._calls[:n_calls]
            del self._calls[:n_calls]
            for function, arguments in due:
                function(*arguments)
