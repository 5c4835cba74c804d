"""How long the event loop keeps waiting what is due: while one thing runs on it, or holds the interpreter's lock."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from app.metrics.families import PREFIX

PERIOD_S = 0.01
"""Time in seconds between two measurements while requests are answered; a stall is measured as that much too short."""
IDLE_PERIOD_S = 0.25
"""Time in seconds between two measurements while there are no requests: to wake up costs more than to measure."""
LIMITS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper limits of the histogram, in seconds."""
SLOT_S = 10.0
"""Time in seconds of each part of the last minute for which the longest stall is kept."""
N_SLOTS = 6


class EventLoopStalls(Collector):
    """Measures by how much a timer of the event loop is late, a hundred times a second while requests are answered.

    The longest stalls since the start and in the last minute are gauges. Everything runs on the event loop, except that
    the gauges may be read on another thread.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        documentation = "Time that the event loop kept a timer waiting, by a timer that fires 100 times a second."
        self._stalls = Histogram(
            "event_loop_stall_seconds", documentation, namespace=PREFIX, registry=registry, buckets=LIMITS
        )
        self._longest_s = 0.0
        self._slots: deque[tuple[int, float]] = deque([(0, 0.0)], maxlen=N_SLOTS + 1)
        self._n_requests = 0
        self._period_s = self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        registry.register(self)

    def begin_request(self) -> None:
        """Measure more often until as many requests have ended as have begun."""
        self._n_requests += 1
        if self._period_s != PERIOD_S and self._timer is not None:
            self._timer.cancel()
            self._wait()

    def end_request(self) -> None:
        """Note that a request has ended."""
        self._n_requests -= 1

    def start(self) -> None:
        """Measure the running event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._wait()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @override
    def collect(self) -> Iterable[Metric]:
        """Return the longest stalls."""
        longest = GaugeMetricFamily(
            f"{PREFIX}_event_loop_longest_stall_seconds",
            "Longest time that the event loop kept a timer waiting, since the start or in the last minute.",
            labels=["since"],
        )
        first_slot = _slot_of(time.perf_counter()) - N_SLOTS + 1
        longest.add_metric(["start"], self._longest_s)
        longest.add_metric(
            ["minute"], max([late_s for slot, late_s in [*self._slots] if slot >= first_slot], default=0.0)
        )
        yield longest

    def _wait(self) -> None:
        self._period_s = PERIOD_S if self._n_requests > 0 else IDLE_PERIOD_S
        self._due_s = time.perf_counter() + self._period_s
        self._timer = self._loop.call_later(self._period_s, self._measure)

    def _measure(self) -> None:
        now_s = time.perf_counter()
        late_s = max(0.0, now_s - self._due_s)
        self._stalls.observe(late_s)
        self._longest_s = max(self._longest_s, late_s)
        slot, most_s = self._slots[-1]
        if slot != _slot_of(now_s):
            self._slots.append((_slot_of(now_s), late_s))
        elif late_s > most_s:
            self._slots[-1] = slot, late_s
        self._wait()


def _slot_of(time_s: float) -> int:
    return int(time_s // SLOT_S)
