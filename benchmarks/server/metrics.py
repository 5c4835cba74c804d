"""Read the metrics of a server that benchmarks judge."""

import math
import re
from dataclasses import dataclass, field
from typing import Self

BUCKET = re.compile(r'^manifold_event_loop_stall_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
LONGEST = re.compile(r'^manifold_event_loop_longest_stall_seconds\{since="start"\} (\S+)$', re.MULTILINE)
UNFINISHED = re.compile(r"^manifold_(?:queue_items|running_sequences)\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Stalls:
    """How often the event loop was held for up to each limit in seconds, all shorter ones included, and the longest."""

    counts: dict[float, float] = field(default_factory=dict)
    longest_s: float = 0.0

    @classmethod
    def of(cls, exposition: str) -> Self:
        """Return what the metrics of a server say; no counts if it does not measure the loop."""
        longest = LONGEST.search(exposition)
        counts = {float(limit): float(count) for limit, count in BUCKET.findall(exposition)}
        return cls(counts, float(longest[1]) if longest else 0.0)

    def worst_ms_since(self, earlier: "Stalls") -> float | None:
        """Return the longest stall in milliseconds since an earlier reading; None if the loop is not measured.

        If it is not the longest since the start, only the limit of its bucket is known, which is returned.
        """
        if not self.counts:
            return None
        if self.longest_s > earlier.longest_s:
            return self.longest_s * 1000
        new = {limit: count - earlier.counts.get(limit, 0.0) for limit, count in sorted(self.counts.items())}
        limits = [0.0, *new]
        counts = [0.0, *new.values()]
        held = [limit for limit, count, fewer in zip(limits[1:], counts[1:], counts, strict=False) if count > fewer]
        worst = max(held, default=0.0)
        return self.longest_s * 1000 if math.isinf(worst) else worst * 1000


def n_unfinished(exposition: str) -> float:
    """Return how many items wait and sequences run, all models together."""
    return sum(map(float, UNFINISHED.findall(exposition)))
