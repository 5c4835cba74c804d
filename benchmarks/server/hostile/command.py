"""Define `manifold bench hostile`."""

from collections.abc import Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.lib.memory import memory_group
from benchmarks.lib.report import json_option, print_json, progress
from benchmarks.server.hostile.case import CaseResult
from benchmarks.server.hostile.cases import all_cases
from benchmarks.server.hostile.target import run_case

GB = 2**30
COLUMNS = (
    "case",
    "live",
    "neighbour p99, max",
    "stall",
    "memory before, peak, after",
    "settled",
    "statuses",
    "verdict",
)


class CaseName(click.ParamType[list[str]]):
    """The name of a case, or the beginning of names. The cases are imported only when one is named."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Return the names that begin so, or the one that is the same."""
        names = [value] if value in all_cases() else [name for name in all_cases() if name.startswith(value)]
        if not names:
            self.fail(f"there is no case {value!r}; the cases are {', '.join(all_cases())}", param, ctx)
        return names


@click.command()
@click.option(
    "--case",
    "chosen",
    type=CaseName(),
    multiple=True,
    help="Name of a case or its beginning; all where omitted. May be repeated.",
)
@click.option("--memory-gb", default=4.0, show_default=True, help="Memory that the server may have, in 2^30 bytes.")
@json_option
def hostile(chosen: Sequence[Sequence[str]], memory_gb: float, as_json: bool) -> None:
    """Attack servers of limited memory; fail if other clients suffer.

    Each case starts a server of its own in a control group with limited memory, where this process may make one. While
    the case attacks, a probe asks GET /health/live, and a light neighbour asks /reconstruct, both every 20 ms; their
    latencies count from when a request was due. The exit status is 1 if a demand is not met: the server lives; `live`
    is answered within 100 ms; the neighbour's 99th percentile is under 100 ms, and it is always answered; the event
    loop is held for 50 ms at most, if the server measures it; resident memory is within 10% of what it was before, at
    most 30 s later; no answer is a 5xx that a client has caused; and what the case itself demands. The case `control`
    attacks nothing: if it fails, the machine is too busy to measure.

    \b
    Keys of the JSON output:
      memory_limit       how the memory was limited
      passes             whether all cases pass
      cases              by name:
        passes           whether all demands are met
        failed           the demands that are not
        failures         what the case itself demands and did not find, in sentences
        live_max_ms      the latest answer of GET /health/live
        neighbour_p99_ms, neighbour_max_ms, neighbour_failed
                         the latencies of the neighbour, and its requests without a good answer
        probe_late_ms    the latest that the probes themselves sent a request, for want of a processor
        loop_stall_ms    the longest stall of the event loop; null if the server does not measure it
        rss_before_mb, rss_peak_mb, rss_after_mb
                         resident memory of all processes of the server, in 10^6 bytes
        settled_after_s  seconds from the end of the attack to the last reading
        seconds          length of the attack
        statuses         answers by their status; 0 for none
    """
    names = [name for each in chosen for name in each] or list(all_cases())
    results, kind = [], ""
    with progress("cases") as bar:
        for name in bar.track(names):
            with memory_group(round(memory_gb * GB)) as group:
                kind = group.kind
                results.append(run_case(all_cases()[name], group))
            bar.console.print(_line(results[-1]), highlight=False)
    if as_json:
        cases = {result.name: result.summary() for result in results}
        print_json({"memory_limit": kind, "passes": all(result.passes for result in results), "cases": cases})
    else:
        _print_table(results, f"Memory: {memory_gb:g} GB ({kind})")
    if not all(result.passes for result in results):
        raise SystemExit(1)


def _line(result: CaseResult) -> str:
    failed = [name for name, holds in result.verdicts.items() if not holds]
    return f"{result.name}: {'; '.join(failed + result.failures[:2]) or 'holds'}"


def _print_table(results: Sequence[CaseResult], caption: str) -> None:
    table = Table(*COLUMNS, box=box.MARKDOWN)
    for result in results:
        found = result.summary()
        memory = (found[f"rss_{when}_mb"] for when in ("before", "peak", "after"))
        table.add_row(
            result.name,
            _cell(found["live_max_ms"]),
            f"{_cell(found['neighbour_p99_ms'])}, {_cell(found['neighbour_max_ms'])}",
            _cell(found["loop_stall_ms"]),
            ", ".join(f"{n:,}" for n in memory) if result.bytes_before else "",
            f"{result.settled_after_s:.0f} s" if result.bytes_before else "",
            ", ".join(f"{n} x {status}" for status, n in found["statuses"].items()),
            "holds" if result.passes else "[red]" + "; ".join(found["failed"]) + "[/red]",
        )
    console = Console(width=400)
    console.print(table)
    console.print(f"Latencies in ms, memory in 10^6 bytes. {caption}.")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
