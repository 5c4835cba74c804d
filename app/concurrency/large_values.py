"""Keeping the interpreter free while the values of large bodies exist: up to millions of lists, texts and numbers.

Python frees a list and all that it holds in one go, and a full garbage collection traverses every list and object that
exists. Either holds the interpreter's lock for a tenth of a second where there are a million of them.
"""

import gc
import sys
import threading
import time
from typing import Any

from app.concurrency.worker_pools import WorkerPools

N_FREED_AT_ONCE = 1024
"""Number of values that are freed in one go, in about 0.1 ms."""
MAX_POSTPONED_S = 600.0
"""Time in seconds for which full garbage collections are postponed at most, however many large bodies arrive."""
_NEVER = 2**30


class LargeValues:
    """The values of the large body of one request. Full garbage collections are postponed until they are freed."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        _full_collections.postpone()

    def keep(self, values: Any) -> None:
        """Keep the values until `free_later`, so that they are not freed in one go before."""
        self._values.append(values)

    def free_later(self, pools: WorkerPools) -> None:
        """Free the values on a thread, in parts. Call this once, when the request has ended."""
        pools.begin(self._free)

    def _free(self) -> None:
        try:
            free_in_parts(self._values)
        finally:
            _full_collections.resume()


def free_in_parts(values: list[Any]) -> None:
    """Empty a list and the lists and objects in it, but for those that something else refers to as well."""
    while values:
        value = values.pop()
        if sys.getrefcount(value) > 2:  # the variable and the argument
            continue
        part: list[Any] = []
        if type(value) is list and value:
            part = value[-N_FREED_AT_ONCE:]
            del value[-N_FREED_AT_ONCE:]
        elif type(value) is dict and value:
            part = [value.popitem()[1] for _ in range(min(len(value), N_FREED_AT_ONCE))]
        if part:
            values.append(value)
            values += [each for each in part if type(each) is list or type(each) is dict]
        del value, part


class _FullCollections:
    """Postpones full garbage collections, also while several ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_postponing = 0
        self._postponed_at = 0.0
        self._threshold = 0

    def postpone(self) -> None:
        """Postpone full collections until `resume` has been called as often, or `MAX_POSTPONED_S` are over."""
        with self._lock:
            self._n_postponing += 1
            first, second, third = gc.get_threshold()
            if third != _NEVER:
                self._threshold, self._postponed_at = third, time.monotonic()
                gc.set_threshold(first, second, _NEVER)
            elif time.monotonic() - self._postponed_at > MAX_POSTPONED_S:
                gc.set_threshold(first, second, self._threshold)

    def resume(self) -> None:
        """Allow full collections again, unless somebody else postpones them."""
        with self._lock:
            self._n_postponing -= 1
            first, second, third = gc.get_threshold()
            if self._n_postponing == 0 and third == _NEVER:
                gc.set_threshold(first, second, self._threshold)


_full_collections = _FullCollections()
