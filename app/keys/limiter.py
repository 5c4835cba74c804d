"""Limits on what one client may send: a rate, and a number of requests at the same time."""

import math
from collections import OrderedDict

from app.errors import RateLimited

MAX_ADDRESSES = 2**14
"""Maximum number of addresses that are remembered; beyond it, the one that was silent for longest is forgotten."""
MAX_RETRY_S = 60
"""Maximum time, in seconds, after which a client that has too many requests at the same time is told to try again."""
_ROUNDING = 1e-3
"""Part of an interval by which a request may be early, because sums of intervals are rounded."""
_DURATION_WEIGHT = 0.1
"""Weight of one request in the running mean of durations."""


class Limiter:
    """Limits the requests of one client.

    The rate is that of a token bucket: as many requests as a minute allows may come at once, and each that was used
    comes back after its share of the minute. The bucket is stored as the time at which it will be full again (the
    generic cell rate algorithm, ITU-T I.371), so that it takes no timer.
    """

    __slots__ = ("_client", "_full_at_s", "_interval_s", "_max_concurrent", "_mean_duration_s", "_n_running", "_rate")

    def __init__(self, client: str, requests_per_minute: int | None, max_concurrent: int | None) -> None:
        """Limit what `client` may send, where a limit is given. `client` is its name in errors."""
        self._client, self._rate, self._max_concurrent = client, requests_per_minute, max_concurrent
        self._interval_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._full_at_s = self._mean_duration_s = 0.0
        self._n_running = 0

    def enter(self, now_s: float) -> None:
        """Count a request that begins at a time of `time.monotonic`.

        Raises:
            RateLimited: it exceeds a limit, and is not counted.
        """
        if self._max_concurrent and self._n_running >= self._max_concurrent:
            retry_after_s = min(MAX_RETRY_S, math.ceil(self._mean_duration_s / self._max_concurrent))
            limit = f"{self._max_concurrent} request{'s' if self._max_concurrent > 1 else ''} at the same time"
            raise RateLimited(f"{self._client} may have {limit}", retry_after_s=max(1, retry_after_s))
        if self._rate:
            full_at_s = max(self._full_at_s, now_s)
            wait_s = full_at_s - now_s - (60.0 - self._interval_s)
            if wait_s > self._interval_s * _ROUNDING:
                limit = f"{self._rate} request{'s' if self._rate > 1 else ''} a minute"
                raise RateLimited(f"{self._client} may send {limit}", retry_after_s=max(1, math.ceil(wait_s)))
            self._full_at_s = full_at_s + self._interval_s
        self._n_running += 1

    def leave(self, duration_s: float) -> None:
        """Count the end of a request that took this long."""
        self._n_running -= 1
        self._mean_duration_s += _DURATION_WEIGHT * (duration_s - self._mean_duration_s)


class AddressLimiters:
    """The limiters of clients without a key, by their addresses."""

    def __init__(self, requests_per_minute: int, max_concurrent: int) -> None:
        """Give each address these limits; 0 means none."""
        self._limits = requests_per_minute or None, max_concurrent or None
        self._limiters: OrderedDict[str, Limiter] = OrderedDict()

    def limiter_of(self, address: str) -> Limiter:
        """Return the limiter of an address."""
        limiter = self._limiters.get(address)
        if limiter is None:
            limiter = self._limiters[address] = Limiter(f"the address {address}", *self._limits)
            if len(self._limiters) > MAX_ADDRESSES:
                self._limiters.popitem(last=False)
        self._limiters.move_to_end(address)
        return limiter
