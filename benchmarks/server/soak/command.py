"""Define `manifold bench soak`."""

from dataclasses import replace
from typing import Any

import click
import uvloop
from rich.progress import Progress, TaskID

from benchmarks.lib.report import Report, json_option, print_report, progress, table
from benchmarks.server.soak.report import report_of, summarise, write_report
from benchmarks.server.soak.run import Soak, SoakResult, SoakSettings, count_log_errors, started_site
from benchmarks.server.soak.verdicts import verdicts_of

GB = 2**30
CONTROLS = {
    "lost": "nothing lost",
    "wrong": "every answer right",
    "failing": "no 5xx of a client's making",
    "leak": "memory grows under 3%",
    "stall": "GET /health/live within 100 ms",
}
"""By name of a planted fault: the verdict that must fail because of it."""
N_CONTROL, N_CONTROL_WARM = 8_000, 2_000
CONTROL_TIMEOUT_S = 3.0
CONTROL_MODELS = "vanilla-ae-mnist,sentence-mini-en,gpt-mini-en"


def run_soak(settings: SoakSettings, bar: Progress, task: TaskID) -> SoakResult:
    """Start a server, run the soak against it, and return what was seen."""
    bar.update(task, total=settings.n_requests, completed=0)
    with started_site(settings) as (site, _):
        soak_run = Soak(settings, site, lambda number: bar.update(task, completed=number))
        soak_run.result.memory_kind = f"{settings.memory_bytes / GB:g} GB, {site.group.kind}"
        try:
            result = uvloop.run(soak_run.run())
        except RuntimeError as error:  # the server answers wrongly even at rest
            raise click.ClickException(str(error)) from error
        result.n_log_errors = count_log_errors(site.log.path)
    return result


@click.command()
@click.option("--requests", "n_requests", default=200_000, show_default=True)
@click.option("--warm", "n_warm", default=50_000, show_default=True, help="Requests before the memory is first read.")
@click.option("--clients", "n_clients", default=32, show_default=True, help="Clients that each send one at a time.")
@click.option("--fault-every", "fault_every_s", default=45.0, show_default=True, help="Seconds between faults, or 0.")
@click.option("--attack-every", "attack_every_s", default=5.0, show_default=True, help="Between hostile cases.")
@click.option("--memory-gb", default=4.0, show_default=True, help="Memory that the server may have, in 2^30 bytes.")
@click.option("--readings", "n_readings", default=10, show_default=True, help="Readings of the server at rest.")
@click.option("--models", default="", help="Names of checkpoints, separated by commas; all where empty.")
@click.option("--report", "writes_report", is_flag=True, help="Write docs/performance/soak.md and soak.png.")
@click.option("--control", is_flag=True, help="Plant a fault of each kind in the server; fail if one is not found.")
@json_option
def soak(memory_gb: float, writes_report: bool, control: bool, as_json: bool, **values: Any) -> None:
    """Send 200,000 mixed requests; fail if one is lost.

    The requests are small ones for every task of all models and dialects, the examples of the documentation, and bad
    ones; some clients leave before their answer arrives. Each answer is compared with the right one, which was learnt
    from the same server at rest. Beside them, a process runs the cases of `manifold bench hostile`, and faults are
    injected in turn: workers killed, the clock moved, a checkpoint damaged and restored, the process stopped, the disk
    filled, the log left unread, memory squeezed, SIGHUP, and many visitors. A light neighbour and a probe of
    GET /health/live measure throughout. Ctrl-C ends the run and reports what there is.

    With --control, short soaks run against servers in which a fault is planted, and the command fails unless the
    suite finds each.

    \b
    Keys of the JSON output:
      passes, verdicts     whether all demands are met, and by name: holds, measured (in words)
      seconds, requests_per_second
      requests             how many were sent; each has one of the outcomes that follow
      right, refused       answers as expected, and answers with status 429
      excused, abandoned   explained by a fault, and left by their clients
      unsettled, failures  without an outcome (always 0), and by kind: lost, wrong, server error
      examples             by kind of failure, the first in words
      answers_by_status    answers by their status
      readings             the server at rest: requests, rss_mb (10^6 bytes), unfinished (items, sequences)
      growth               the growth of resident memory from the first to the last of these, as a share
      faults               by name: n, failed, last (in words)
      attacks, log_errors  hostile cases, and lines of the log that tell of unforeseen errors
      found                with --control, by planted fault: whether the suite found it
    """
    settings = SoakSettings(memory_bytes=round(memory_gb * GB), **values)
    with progress("requests") as bar:
        task = bar.add_task("", total=settings.n_requests)
        if control:
            _run_controls(settings, bar, task, as_json=as_json)
            return
        result = run_soak(settings, bar, task)
    verdicts = verdicts_of(result)
    report = report_of(result, verdicts, has_picture=writes_report)
    if writes_report:
        write_report(report, result)
    print_report(report, summarise(result, verdicts), as_json=as_json)
    if not all(verdict.holds for verdict in verdicts):
        raise SystemExit(1)


def _run_controls(settings: SoakSettings, bar: Progress, task: TaskID, *, as_json: bool) -> None:
    """Run a short soak for each planted fault, and exit with 1 if its verdict does not fail."""
    found, rows = {}, []
    for planted, name in CONTROLS.items():
        short = replace(
            settings,
            n_requests=min(settings.n_requests, N_CONTROL),
            n_warm=min(settings.n_warm, N_CONTROL_WARM),
            fault_every_s=0.0,
            attack_every_s=0.0,
            answer_timeout_s=CONTROL_TIMEOUT_S,
            models=settings.models or CONTROL_MODELS,
            planted=planted,
        )
        verdict = next(each for each in verdicts_of(run_soak(short, bar, task)) if each.name == name)
        found[planted] = not verdict.holds
        rows.append([planted, name, verdict.measured, "found" if found[planted] else "**missed**"])
    report = Report(
        name="soak-control",
        title="The soak's control: planted faults",
        command="manifold bench soak --control",
        parts=[table(["planted", "demand", "measured", ""], rows)],
    )
    print_report(report, {"passes": all(found.values()), "found": found}, as_json=as_json)
    if not all(found.values()):
        raise SystemExit(1)
