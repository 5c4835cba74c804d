"""Judge a soak."""

from dataclasses import dataclass

from benchmarks.server.hostile.case import (
    MAX_LIVE_MS,
    MAX_NEIGHBOUR_P99_MS,
    MAX_STALL_MS,
    TIME_LIMIT,
    UNAVAILABLE,
)
from benchmarks.server.probe import ProbeResult
from benchmarks.server.soak.ledger import LOST, SERVER_ERROR, WRONG
from benchmarks.server.soak.run import SCRAPE_S, SoakResult

MAX_GROWTH = 0.03


@dataclass(frozen=True)
class Verdict:
    """A demand, whether it is met, and what was measured, in words."""

    name: str
    holds: bool
    measured: str


def growth_of(result: SoakResult) -> float:
    """Return the growth of resident memory from the first to the last reading at rest; NaN without two."""
    if len(result.readings) < 2:
        return float("nan")
    return result.readings[-1].resident_bytes / result.readings[0].resident_bytes - 1


def verdicts_of(result: SoakResult) -> list[Verdict]:
    """Return all verdicts. Latencies are judged outside of the faults that stop the process."""
    ledger, growth = result.ledger, growth_of(result)
    attacked = [status for _, _, _, statuses in result.attacks for status in map(int, statuses)]
    bad = sorted({status for status in attacked if status >= 500} - {UNAVAILABLE, TIME_LIMIT})
    n_unsettled = ledger.n_sent - ledger.n_settled
    unfinished = [reading.n_unfinished for reading in result.readings]
    failed = [f"{each.name}: {each.note}" for each in result.injections if each.failed]
    return [
        Verdict("the server lives and is ready", result.is_alive and result.is_ready, _yes(result.is_alive)),
        Verdict("nothing lost", not ledger.failures[LOST] and not n_unsettled, f"{ledger.failures[LOST]} lost"),
        Verdict("every answer right", not ledger.failures[WRONG], f"{ledger.failures[WRONG]} wrong"),
        Verdict(
            "no 5xx of a client's making",
            not ledger.failures[SERVER_ERROR] and not bad,
            f"{ledger.failures[SERVER_ERROR]} of clients, {bad or 'none'} of hostile ones",
        ),
        Verdict("memory grows under 3%", growth < MAX_GROWTH, f"{growth:.1%}"),
        Verdict("nothing unfinished at rest", not any(unfinished), f"{max(unfinished, default=0):g} at most"),
        *_latency_verdicts(result),
        Verdict("every fault had its effect, and passed", not failed, "; ".join(failed) or "all did"),
        Verdict("no unforeseen error in the log", not result.n_log_errors, f"{result.n_log_errors} lines"),
    ]


def _latency_verdicts(result: SoakResult) -> list[Verdict]:
    spans = result.stopped_spans
    stalls = [ms for at, ms in result.stalls if not any(start <= at <= end + SCRAPE_S for start, end in spans)]
    live, neighbour = (result.probes.get(kind, ProbeResult()).without(spans) for kind in ("live", "neighbour"))
    stall = f"{max(stalls):.0f} ms at most" if stalls else "not measured by this server"
    return [
        Verdict("the loop is held for 50 ms at most", bool(stalls) and max(stalls) <= MAX_STALL_MS, stall),
        Verdict(
            "GET /health/live within 100 ms",
            live.max_ms <= MAX_LIVE_MS and not live.n_failed,
            f"{live.max_ms:.0f} ms at most, {live.n_failed} of {len(live.samples)} without a good answer",
        ),
        Verdict(
            "the neighbour's p99 under 100 ms",
            neighbour.p99_ms < MAX_NEIGHBOUR_P99_MS and not neighbour.n_failed,
            f"{neighbour.p99_ms:.0f} ms, {neighbour.n_failed} of {len(neighbour.samples)} without a good answer",
        ),
    ]


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
