"""Ending long work on a thread between two of its parts, once nobody waits for its result any more.

Python cannot stop a thread from outside. Work that may take long therefore calls `stop_if_abandoned` between its parts,
each of which should take a few milliseconds at most. It costs about 0.1 µs.
"""

import threading
from collections.abc import Callable


class WorkAbandoned(BaseException):
    """The caller of the work that runs on this thread has left: its deadline has passed, or its client hung up.

    It is no `Exception`, as `asyncio.CancelledError` is none, so that no handler of errors takes it for one.
    """


class _Waiting(threading.local):
    """What is known on each thread about the caller of the work that runs there."""

    is_abandoned: Callable[[], bool] | None = None


_waiting = _Waiting()


def watch_caller(is_abandoned: Callable[[], bool] | None) -> None:
    """Set how `stop_if_abandoned` learns, on this thread, that the caller has left; None for work without a caller."""
    _waiting.is_abandoned = is_abandoned


def stop_if_abandoned() -> None:
    """Do nothing as long as somebody waits for the work that runs on this thread.

    Raises:
        WorkAbandoned: nobody waits any more.
    """
    is_abandoned = _waiting.is_abandoned
    if is_abandoned is not None and is_abandoned():
        raise WorkAbandoned
