"""The report of a soak: Markdown, and a picture of its course."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.lib.report import FOLDER, Report, table
from benchmarks.lib.statistics import quantile
from benchmarks.server.probe import ProbeResult
from benchmarks.server.soak.run import SoakResult
from benchmarks.server.soak.verdicts import Verdict, growth_of

N_BINS = 300
NAME = "soak"


def summarise(result: SoakResult, verdicts: list[Verdict]) -> dict[str, Any]:
    """Return the results with the keys of the JSON output."""
    growth = growth_of(result)
    seconds = result.ended_at - result.started_at
    return {
        "passes": all(verdict.holds for verdict in verdicts),
        "verdicts": {each.name: {"holds": each.holds, "measured": each.measured} for each in verdicts},
        "seconds": round(seconds, 1),
        "requests_per_second": round(result.ledger.n_sent / seconds, 1) if seconds else None,
        **result.ledger.summary(),
        "readings": [
            {
                "requests": each.n_requests,
                "rss_mb": each.resident_bytes // 10**6,
                "unfinished": each.n_unfinished,
            }
            for each in result.readings
        ],
        "growth": None if growth != growth else round(growth, 4),
        "faults": _faults(result),
        "attacks": len(result.attacks),
        "log_errors": result.n_log_errors,
    }


def _faults(result: SoakResult) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for each in result.injections:
        entry = found.setdefault(each.name, {"n": 0, "last": "", "failed": 0})
        entry["n"] += 1
        entry["failed"] += each.failed
        entry["last"] = each.note
    return found


def report_of(result: SoakResult, verdicts: list[Verdict], *, has_picture: bool) -> Report:
    """Return the report; with the picture's place if it is written."""
    ledger, minutes = result.ledger, (result.ended_at - result.started_at) / 60
    outcomes = [
        ["right", f"{ledger.n_right:,}"],
        ["abandoned by their clients", f"{ledger.n_abandoned:,}"],
        ["refused with 429", f"{ledger.n_refused:,}"],
        ["explained by a fault", f"{ledger.n_excused:,}"],
        *([kind, f"{n:,}"] for kind, n in ledger.failures.items()),
    ]
    faults = [[name, str(each["n"]), str(each["failed"]), each["last"]] for name, each in _faults(result).items()]
    attacks = Counter[str]()
    for _, _, _, statuses in result.attacks:
        attacks.update(statuses)
    answers = ", ".join(f"{n:,} by {status}" for status, n in sorted(attacks.items()) if status != "0")
    examples = [f"- {kind}: `{text}`" for kind, texts in ledger.examples.items() for text in texts[:5]]
    return Report(
        name=NAME,
        title=f"The soak: {ledger.n_sent:,} mixed requests with faults",
        command=f"manifold bench soak --requests {result.settings.n_requests}",
        note=f"{result.settings.n_clients} clients, {minutes:.0f} minutes, memory: {result.memory_kind}.",
        parts=[
            f"![Requests, latencies, memory and faults over time]({NAME}.png)" if has_picture else "",
            table(
                ["demand", "measured", ""],
                [[v.name, v.measured, "holds" if v.holds else "**fails**"] for v in verdicts],
            ),
            table(["outcome", "requests"], outcomes),
            table(["fault", "times", "failed", "last"], faults) if faults else "",
            f"{len(result.attacks)} hostile cases ran beside them; they were answered {answers}." if attacks else "",
            "\n".join(examples),
        ],
    )


def write_report(report: Report, result: SoakResult, folder: Path = FOLDER) -> None:
    """Write the report and its picture to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.md").write_text(report.markdown.replace("## ", "# ", 1) + "\n")
    (folder / f"{NAME}.png").write_bytes(picture_of(result))


def picture_of(result: SoakResult) -> bytes:
    """Return a PNG: answers a second, latencies of the probes, memory, and stalls, over minutes, with the faults."""
    from matplotlib.figure import Figure  # an optional dependency

    figure = Figure(figsize=(8, 8), layout="constrained")
    rate, latency, memory, stall = figure.subplots(4, 1, sharex=True)
    start = result.started_at
    minutes = [(at - start) / 60 for at, _, _ in result.samples]
    pairs = list(zip(result.samples, result.samples[1:], strict=False))
    rate.plot([(b[0] - start) / 60 for _, b in pairs], [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs], linewidth=0.6)
    rate.set_ylabel("requests/s")
    for kind, probe in result.probes.items():
        at, median, worst = _binned(probe, start)
        (line,) = latency.plot(at, worst, linewidth=0.8, label=f"{kind}, worst")
        latency.plot(at, median, linewidth=0.8, linestyle=":", color=line.get_color(), label=f"{kind}, median")
    latency.axhline(100, color="grey", linewidth=0.5)
    latency.set_yscale("log")
    latency.set_ylabel("latency, ms")
    if result.probes:
        latency.legend(fontsize=7, ncols=2)
    memory.plot(minutes, [n_bytes / 1e6 for _, _, n_bytes in result.samples], linewidth=0.8)
    memory.set_ylabel("resident, MB")
    stall.plot([(at - start) / 60 for at, _ in result.stalls], [ms for _, ms in result.stalls], linewidth=0.8)
    stall.axhline(50, color="grey", linewidth=0.5)
    stall.set_ylabel("loop's stall, ms")
    stall.set_xlabel("minutes")
    for axes in (rate, latency, memory, stall):
        axes.spines[["top", "right"]].set_visible(False)
        for injection in result.injections:
            colour = "tab:red" if injection.fault.stops_process else "tab:orange"
            axes.axvline((injection.started_at - start) / 60, color=colour, linewidth=0.4, alpha=0.6)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90)
    return file.getvalue()


def _binned(probe: ProbeResult, start: float) -> tuple[list[float], list[float], list[float]]:
    """Return the middles of spans of time in minutes, and the median and the worst latency of each."""
    if not probe.samples:
        return [], [], []
    width = max(1, len(probe.samples) // N_BINS)
    groups = [probe.samples[n : n + width] for n in range(0, len(probe.samples), width)]
    latencies = [sorted(sample.ms for sample in group) for group in groups]
    at = [(group[len(group) // 2].due_at - start) / 60 for group in groups]
    return at, [quantile(each, 0.5) for each in latencies], [each[-1] for each in latencies]
