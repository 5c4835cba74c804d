"""Histograms that take less than half the time of the client library's, which takes a lock twice and scans its buckets.

A request makes five observations, so that this saves about two microseconds of each.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override


class Histogram:
    """The values of one time series, counted by ranges. Thread-safe."""

    __slots__ = ("_counts", "_limits", "_lock", "_sum")

    def __init__(self, limits: Sequence[float]) -> None:
        """Count values by ranges, of which `limits` are the upper limits; the last range has none."""
        self._limits = tuple(limits)
        self._counts = [0] * (len(limits) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Count a value."""
        place = bisect_left(self._limits, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """Return for each upper limit the number of values up to it, and the sum of all values."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        names = [*map(str, map(float, self._limits)), "+Inf"]
        return list(zip(names, accumulate(counts), strict=True)), total


class Histograms(dict[tuple[str, ...], Histogram]):
    """The histograms of one metric by the values of its labels; a new one is added when it is first looked up."""

    def __init__(self, name: str, documentation: str, limits: Sequence[float], labels: Sequence[str]) -> None:
        super().__init__()
        self._name, self._documentation, self._limits, self._labels = name, documentation, limits, tuple(labels)
        self._lock = threading.Lock()

    def __missing__(self, values: tuple[str, ...]) -> Histogram:
        with self._lock:
            return self.setdefault(values, Histogram(self._limits))

    @property
    def family(self) -> HistogramMetricFamily:
        """The metric as the client library writes it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, histogram in list(self.items()):
            buckets, total = histogram.read()
            family.add_metric(values, buckets, total)
        return family


class HistogramCollector(Collector):
    """Gives the histograms of an application to a registry."""

    def __init__(self) -> None:
        self._histograms: list[Histograms] = []

    def add(self, name: str, documentation: str, limits: Sequence[float], labels: Sequence[str]) -> Histograms:
        """Return a new metric, which is part of the collector from now on."""
        self._histograms.append(Histograms(name, documentation, limits, labels))
        return self._histograms[-1]

    @override
    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the metrics as they are now."""
        return [histograms.family for histograms in self._histograms]
