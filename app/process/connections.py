"""What the connections of one server share: how many there may be, and the memory of answers that nobody reads."""

import logging
import time
from collections import deque
from collections.abc import Collection
from typing import Protocol

from app.concurrency.request_memory import RequestMemory

log = logging.getLogger(__name__)

MAX_LEAVING = 128
"""Maximum number of connections beyond the limit that are open for a moment, to be answered with a refusal."""
MIN_LEAVING = 8
"""The same where the limit is small."""
OTHER_FILES = 256
"""Number of file descriptors that are left for everything but connections."""
CLOSED_TOGETHER = 64
"""One part in so many of the connections is closed at a time: to find those that have been idle longest takes long."""
LOG_EVERY_S = 10.0
"""Time in seconds between two lines of the log about the limit."""


class Connection(Protocol):
    """One connection of a server.

    Attributes:
        is_leaving: True once it is being closed because of the limit.
        idle_deadline: when it is closed for want of a request, in the time of the event loop.
    """

    is_leaving: bool
    idle_deadline: float

    @property
    def is_idle(self) -> bool:
        """True if no request is being answered, and none has arrived but for a part of its head."""

    def close_idle(self) -> None:
        """Close the connection, which is idle."""


class OpenConnections:
    """Limits how many connections a server has, which each take memory and a file descriptor.

    At the limit, those that have been idle longest are closed. If none is idle, new ones are refused. The log says so,
    but not for each.

    Attributes:
        limit: most connections that are open at a time, or 0 if there is no limit.
        memory: the memory of all requests, to which answers that are not read belong; None if it is not counted.
        n_leaving: number of connections that are being closed because of the limit.
    """

    def __init__(self, limit: int = 0, memory: RequestMemory | None = None) -> None:
        self.limit, self.memory = limit, memory
        self.n_leaving = 0
        self._refused: deque[Connection] = deque()
        self._n_closed = self._n_refused = 0
        self._logs_from_s = 0.0

    def admit(self, connection: Connection, connections: Collection[Connection]) -> bool:
        """Return whether a new connection, which is among those given, may stay; close idle ones for it."""
        if not self.limit or len(connections) - self.n_leaving <= self.limit:
            return True
        idle = [each for each in connections if each.is_idle and not each.is_leaving and each is not connection]
        idle.sort(key=lambda each: each.idle_deadline)
        chosen = idle[: max(1, self.limit // CLOSED_TOGETHER)]
        for each in chosen:
            self._leave(each)
            each.close_idle()
        if not chosen:
            self._leave(connection)
            self._refused.append(connection)
        self._n_closed += len(chosen)
        self._n_refused += not chosen
        self._log()
        return bool(chosen)

    def may_be_answered(self) -> bool:
        """Return whether there is room for a connection that was refused until its client has read the answer.

        Room is made by closing the one that was refused first.
        """
        most = min(MAX_LEAVING, max(MIN_LEAVING, self.limit // 4))
        if len(self._refused) > most:
            self._refused.popleft().close_idle()
        return self.n_leaving <= 2 * most

    def forget(self, connection: Connection) -> None:
        """Count a connection that was leaving no more, because it is closed."""
        self.n_leaving -= 1
        if connection in self._refused:
            self._refused.remove(connection)

    def _leave(self, connection: Connection) -> None:
        connection.is_leaving = True
        self.n_leaving += 1

    def _log(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._logs_from_s:
            self._logs_from_s = now_s + LOG_EVERY_S
            log.warning(
                "as many connections are open as may be",
                extra={"limit": self.limit, "closed_idle": self._n_closed, "refused": self._n_refused},
            )


def max_connections(wanted: int) -> int:
    """Return how many of the wanted connections the system's limit of open files leaves room for, and raise that limit.

    Besides them, the server opens the files of models, and pipes and sockets of its own.
    """
    try:
        import resource  # which only Unix has
    except ImportError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    needed = wanted + MAX_LEAVING + OTHER_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit = min(wanted, soft - min(MAX_LEAVING + OTHER_FILES, soft // 2))
    if limit < wanted:
        log.warning(
            "the system's limit of open files leaves room for fewer connections than max_connections",
            extra={"max_connections": wanted, "limit": limit, "open_files": soft},
        )
    return limit
