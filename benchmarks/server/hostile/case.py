"""A hostile case, and what is judged of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.server.probe import ProbeResult

if TYPE_CHECKING:
    from benchmarks.server.hostile.target import Target

AUTOENCODER = "vanilla-ae-mnist"
"""The model of the light neighbour."""
MAX_LIVE_MS, MAX_NEIGHBOUR_P99_MS, MAX_STALL_MS = 100.0, 100.0, 50.0
MAX_GROWTH = 0.10
"""Largest share by which resident memory may exceed what it was before, once the case is over."""
SETTLE_S = 30.0
"""Longest time that memory has to be given back."""
TIME_LIMIT, UNAVAILABLE = 504, 503


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case: its server, and the function that attacks it.

    Attributes:
        name: a short name, unique among all cases.
        attack: what the clients do; it measures within `Target.watch`.
        models: models to load besides that of the neighbour.
        options: further options of `manifold serve`; in them, FOLDER stands for the folder of the case.
        prepare: commands of a shell that run before the server in its process.
        make_files: writes files to the folder of the case before the server starts.
        folder_mb: size of the file system for the server's temporary files; None for an ordinary folder.
        unavailable: whether 503 is a proper answer, as it is for a model that somebody unloads.
        reads_log: whether somebody reads what the server logs.
    """

    name: str
    attack: "Callable[[Target], None]"
    models: Sequence[str] = ()
    options: Sequence[str] = ()
    prepare: str = ""
    make_files: Callable[[Path], None] | None = None
    folder_mb: int | None = None
    unavailable: bool = False
    reads_log: bool = True


@dataclass(kw_only=True)
class CaseResult:
    """What was measured of a case. `failures` are sentences about what the case itself demands and did not find."""

    name: str
    is_killed: bool = False
    probes: dict[str, ProbeResult] = field(default_factory=dict)
    bytes_before: int = 0
    bytes_peak: int = 0
    bytes_after: int = 0
    settled_after_s: float = 0.0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected_statuses: Counter[int] = field(default_factory=Counter)
    stall_ms: float | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Return the growth of resident memory from before to after the case, as a share."""
        return self.bytes_after / self.bytes_before - 1 if self.bytes_before else 0.0

    @property
    def verdicts(self) -> dict[str, bool]:
        """Return by name whether each demand is met. Cases that end the server themselves have no probes."""
        verdicts = {"not killed": not self.is_killed}
        if "live" in self.probes:
            live = self.probes["live"]
            verdicts["live within 100 ms"] = live.max_ms <= MAX_LIVE_MS and not live.n_failed
        if "neighbour" in self.probes:
            neighbour = self.probes["neighbour"]
            verdicts["neighbour's p99 under 100 ms"] = neighbour.p99_ms < MAX_NEIGHBOUR_P99_MS
            verdicts["neighbour always answered"] = not neighbour.n_failed
        if self.stall_ms is not None:
            verdicts["loop held for 50 ms at most"] = self.stall_ms <= MAX_STALL_MS
        if self.bytes_before:
            verdicts["memory given back"] = self.growth <= MAX_GROWTH
        verdicts["no unexpected 5xx"] = not self.unexpected_statuses
        verdicts["behaves"] = not self.failures
        return verdicts

    @property
    def passes(self) -> bool:
        """Return whether all demands are met."""
        return all(self.verdicts.values())

    def summary(self) -> dict[str, Any]:
        """Return the results with the keys of the JSON output."""
        live, neighbour = self.probes.get("live", ProbeResult()), self.probes.get("neighbour", ProbeResult())
        return {
            "passes": self.passes,
            "failed": [name for name, holds in self.verdicts.items() if not holds],
            "failures": self.failures[:5],
            "live_max_ms": _number(live.max_ms),
            "neighbour_p99_ms": _number(neighbour.p99_ms),
            "neighbour_max_ms": _number(neighbour.max_ms),
            "neighbour_failed": neighbour.n_failed,
            "probe_late_ms": _number(max(live.late_ms, neighbour.late_ms)),
            "loop_stall_ms": self.stall_ms,
            "rss_before_mb": round(self.bytes_before / 1e6),
            "rss_peak_mb": round(self.bytes_peak / 1e6),
            "rss_after_mb": round(self.bytes_after / 1e6),
            "settled_after_s": round(self.settled_after_s, 1),
            "seconds": round(self.seconds, 1),
            "statuses": dict(sorted(self.statuses.items())),
        }


def _number(value: float) -> float | None:
    """Return a number with one digit, or None in place of NaN."""
    return None if isnan(value) else round(value, 1)
