"""The memory of all requests together: each claims what it needs before it takes it, and gives it back at its end."""

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

from app.errors import ClientDisconnected, MemoryExhausted, PayloadTooLarge

SMALL_BYTES = 2**20
"""Most memory, in bytes, of a request that counts as small."""
PART_FOR_SMALL = 8
"""One part in so many of the limit is for small requests alone, so that large ones cannot keep them out."""
UNREAD_S = 1.0
"""Time in seconds for which a client has read nothing of its answer, from which the answer may be dropped."""
RETRY_AFTER_S = 1
"""Time in seconds after which a client is asked to try again while the memory is in use."""


class RequestMemory:
    """Counts the memory of all requests, in bytes. Its methods, and those of its shares, may be called on any thread.

    Attributes:
        n_bytes: the memory that requests hold.
        peak_bytes: the most that they have held since `restart_peak`.
        n_dropped: number of answers that were dropped because their clients did not read them.
    """

    __slots__ = ("_limit", "_lock", "_unread", "n_bytes", "n_dropped", "peak_bytes")

    def __init__(self, limit: Callable[[], int]) -> None:
        """Share out as much memory as `limit` returns at each claim, on any thread; 0 sets no limit."""
        self._limit = limit
        self._lock = threading.Lock()
        self._unread: dict[MemoryShare, float] = {}
        self.n_bytes = self.peak_bytes = self.n_dropped = 0

    @property
    def limit(self) -> int:
        """The most memory of all requests together in bytes, at this moment; 0 if there is no limit."""
        return self._limit()

    def open_share(self) -> "MemoryShare":
        """Return the share of a new request, which holds nothing yet."""
        return MemoryShare(self)

    def restart_peak(self) -> int:
        """Measure `peak_bytes` from now on, and return what it was."""
        with self._lock:
            peak, self.peak_bytes = self.peak_bytes, self.n_bytes
            return peak

    def _add(self, share: "MemoryShare", n_bytes: int) -> "list[Callable[[], None]]":
        """Give a share more memory. Return what drops the unread answers that had to make room for it."""
        limit = self._limit()
        total = share.n_bytes + n_bytes
        drops: list[Callable[[], None]] = []
        if limit:
            most = limit if total <= SMALL_BYTES else limit - limit // PART_FOR_SMALL
            excess = self.n_bytes + n_bytes - most
            if excess > 0:
                drops = self._make_room(share, total, excess, most)
        share.n_bytes = total
        self.n_bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.n_bytes)
        return drops

    def _make_room(self, share: "MemoryShare", total: int, excess: int, most: int) -> "list[Callable[[], None]]":
        """Take back the memory of unread answers: first of those that are large, and have not been read for long."""
        if total > most:
            raise PayloadTooLarge(
                f"the request needs about {total} bytes of memory; memory_limit leaves {most} for one; send fewer or "
                "smaller inputs"
            )
        now = time.monotonic()
        waiting = [other for other, since in self._unread.items() if other is not share and now - since >= UNREAD_S]
        waiting.sort(key=lambda other: other.n_bytes * (now - self._unread[other]), reverse=True)
        chosen: list[MemoryShare] = []
        for other in waiting:
            chosen.append(other)
            excess -= other.n_bytes
            if excess <= 0:
                break
        else:  # nothing is dropped where that would not be enough
            raise MemoryExhausted(
                f"the request needs about {total} bytes of memory, and other requests hold "
                f"{self.n_bytes - share.n_bytes} of the {most} that memory_limit leaves for them",
                retry_after_s=RETRY_AFTER_S,
            )
        self.n_dropped += len(chosen)
        drops = [drop for other in chosen if (drop := other._drop) is not None]
        for other in chosen:
            other._end()
        return drops


class MemoryShare:
    """The memory of one request.

    Attributes:
        n_bytes: what the request holds, in bytes.
    """

    __slots__ = ("_drop", "_is_closed", "_memory", "_n_holders", "n_bytes")

    def __init__(self, memory: RequestMemory) -> None:
        self._memory = memory
        self._drop: Callable[[], None] | None = None
        self._is_closed = False
        self._n_holders = 0
        self.n_bytes = 0

    def claim(self, n_bytes: int) -> None:
        """Claim so many bytes more, before they are taken.

        Raises:
            PayloadTooLarge: the request would hold more than all requests together may.
            MemoryExhausted: other requests hold too much. The share holds what it did before.
            ClientDisconnected: the request has ended.
        """
        memory = self._memory
        with memory._lock:
            if self._is_closed:
                raise _ended()
            drops = memory._add(self, n_bytes)
        for drop in drops:
            drop()

    def give_back(self, n_bytes: int) -> None:
        """Give so many of the claimed bytes back. Once all have been given back at the end, this does nothing.

        Raises:
            ValueError: the request does not hold as many.
        """
        memory = self._memory
        with memory._lock:
            if self._is_closed and self._n_holders == 0:
                return
            if n_bytes > self.n_bytes:
                raise ValueError(f"{n_bytes} bytes are given back, and {self.n_bytes} are held")
            self.n_bytes -= n_bytes
            memory.n_bytes -= n_bytes

    def correct(self, estimated: int, needed: int) -> None:
        """Replace what was claimed by an estimate, in bytes, with what is needed.

        Raises:
            PayloadTooLarge, MemoryExhausted, ClientDisconnected: more is needed, and it is refused as `claim` says.
        """
        if needed > estimated:
            self.claim(needed - estimated)
        elif needed < estimated:
            self.give_back(estimated - needed)

    def may_be_dropped(self, drop: Callable[[], None] | None) -> None:
        """Let others take this memory while the client reads nothing of the answer; None ends that.

        Call this anew whenever the client has read a part: what it has not read for `UNREAD_S` may be dropped. Then the
        share is closed, and `drop` is called once, on the thread of the request that needs the memory. It must free
        the answer soon, and must not raise.
        """
        memory = self._memory
        if drop is None and self._drop is None:
            return
        with memory._lock:
            if self._is_closed and self._n_holders == 0:
                return
            self._drop = drop
            if drop is None:
                memory._unread.pop(self, None)
            else:
                memory._unread[self] = time.monotonic()

    def hold(self) -> None:
        """Keep the memory claimed beyond the end of the request, until `release`.

        This is for work on a thread that nobody can stop, and for an answer that is still being sent.

        Raises:
            ClientDisconnected: the request has ended.
        """
        with self._memory._lock:
            if self._is_closed:
                raise _ended()
            self._n_holders += 1

    def release(self) -> None:
        """End a `hold`. Once the request has ended as well, all memory is given back."""
        with self._memory._lock:
            self._n_holders -= 1
            if self._is_closed and self._n_holders == 0:
                self._end()

    def keep(self, n_bytes: int) -> None:
        """Give back all but so many bytes, once the request needs no more. Nothing is given back of a smaller share."""
        if self.n_bytes > n_bytes:
            self.give_back(self.n_bytes - n_bytes)

    def close(self) -> None:
        """Give all memory back, at the end of the request, or at that of the last `hold`. May be called again."""
        with self._memory._lock:
            if not self._is_closed and self._n_holders == 0:
                self._end()
            self._is_closed = True

    def _end(self) -> None:
        """Close the share and give all memory back. The lock must be held."""
        self._memory.n_bytes -= self.n_bytes
        self.n_bytes = 0
        self._is_closed = True
        self._drop = None
        self._memory._unread.pop(self, None)


REQUEST_MEMORY: ContextVar[MemoryShare | None] = ContextVar("request_memory", default=None)
"""The share of the request that this task, or this thread of the worker pools, works for; None outside of requests."""


def claim_memory(n_bytes: int) -> None:
    """Claim so many bytes for the request that is being worked for, if there is one.

    Raises:
        PayloadTooLarge, MemoryExhausted, ClientDisconnected: as `MemoryShare.claim` says.
    """
    share = REQUEST_MEMORY.get()
    if share is not None:
        share.claim(n_bytes)


def _ended() -> ClientDisconnected:
    return ClientDisconnected("the request has ended before its work")
