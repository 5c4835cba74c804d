"""Measure `/encode` at ten times the rate that the server can answer."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import click
import uvloop

from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.processor import processor_time
from benchmarks.lib.report import (
    Report,
    json_option,
    print_report,
    progress,
    table,
)
from benchmarks.lib.servers import Server, start_manifold
from benchmarks.lib.texts import random_texts, text_lengths
from benchmarks.server.load import OpenLoopResult, open_loop
from benchmarks.server.requests import encode_request

T = TypeVar("T")

N_TEXTS, N_PEAK_CONNECTIONS, FACTOR = 2000, 64, 10.0
PROMPT_S = 0.1
"""Longest time that a prompt refusal takes."""


@dataclass(frozen=True)
class BusyCores:
    """How many cores were busy, on average, with each part."""

    workers: float
    event_loop: float
    client: float


@dataclass(frozen=True)
class Round:
    """Good answers a second at the peak, the results of the overload, and the cores that were busy during each."""

    peak_per_second: float
    overload: OpenLoopResult
    busy_at_peak: BusyCores
    busy_at_overload: BusyCores

    @property
    def ratio(self) -> float:
        """Return the good answers a second during the overload over those at the peak."""
        return self.overload.good_per_second / self.peak_per_second


def measure_peak(port: int, requests: Sequence[bytes], seconds: float) -> float:
    """Return the good answers a second with as many connections as keep the server busy."""
    load = open_loop(port, requests, n_connections=N_PEAK_CONNECTIONS, rate=None, seconds=seconds)
    return uvloop.run(load).good_per_second


def measure_round(server: Server, requests: Sequence[bytes], n_connections: int, seconds: float) -> Round:
    """Measure the peak, and then ten times as many requests, for so many seconds each."""
    busy_at_peak, peak = _with_busy_cores(server, lambda: measure_peak(server.port, requests, seconds))
    load = open_loop(server.port, requests, n_connections=n_connections, rate=FACTOR * peak, seconds=seconds)
    busy_at_overload, overload = _with_busy_cores(server, lambda: uvloop.run(load))
    return Round(peak, overload, busy_at_peak, busy_at_overload)


def _with_busy_cores(server: Server, run: Callable[[], T]) -> tuple[BusyCores, T]:
    """Return the cores that were busy while a function ran, and what it returned."""
    server_before, client_before = processor_time(server.process_id), time.process_time()
    started_at = time.perf_counter()
    result = run()
    seconds, client_s = time.perf_counter() - started_at, time.process_time() - client_before
    server_after = processor_time(server.process_id)
    total_s, event_loop_s = (after - before for after, before in zip(server_after, server_before, strict=True))
    return BusyCores((total_s - event_loop_s) / seconds, event_loop_s / seconds, client_s / seconds), result


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="Length of the peak and of the overload in a round.")
@click.option("--rounds", "n_rounds", default=12, show_default=True, help="Rounds; medians are printed.")
@click.option("--connections", default=1500, show_default=True, help="Connections of the overload.")
@click.option("--queue", default=64, show_default=True, help="Items that may wait in the server.")
@click.option("--shape", type=click.Choice(("minilm", "bert-base")), default="minilm", show_default=True)
@click.option("--dtype", default="bfloat16", show_default=True, help="Data type of the model.")
@json_option
def overload(
    seconds: float, n_rounds: int, connections: int, queue: int, shape: str, dtype: str, as_json: bool
) -> None:
    """Send ten times as many requests as the server can answer.

    Each round measures the peak first, with as many connections as keep the server busy. Then requests are sent at ten
    times that rate, at random times. The load comes from the same cores: the smaller the model, the more of them it
    takes to send and to refuse the requests.

    \b
    Keys of the JSON output:
      shape, dtype             the model
      peak_per_second          good answers a second at the peak
      sent_per_second          ten times as many
      good_per_second          good answers a second during the overload
      good_over_peak           good_per_second over peak_per_second, the median of the rounds
      good_over_peak_by_round  the same of each round
      busy_cores               by peak and overload, and by workers, event_loop and client
      refusals                 answers with another status than 200
      prompt_refusals          share of the refusals that came within 100 ms
      answers_by_status        answers during the overload by their status
      broken_connections       connections that the server closed without an answer
    """
    requests = [encode_request(shape, text) for text in random_texts(text_lengths(N_TEXTS))]
    with tempfile.TemporaryDirectory() as directory:
        folder = write_checkpoint(shape, Path(directory) / shape)
        options = ("--models", shape, "--model", f"{shape}={folder}", "--dtype", dtype)
        limits = ("--max-queue-items", str(queue), "--max-items", str(queue))
        with start_manifold(*options, *limits) as server, progress("rounds") as bar:
            measure_peak(server.port, requests, seconds)  # warms the server up
            rounds = [measure_round(server, requests, connections, seconds) for _ in bar.track(range(n_rounds))]
    results = {"shape": shape, "dtype": dtype, **summarise(rounds)}
    print_report(report_of(results), results, as_json=as_json)


def summarise(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the results of all rounds with the keys of the JSON output."""
    refused_after = [seconds for each in rounds for seconds in each.overload.refused_after]
    peak = median(each.peak_per_second for each in rounds)
    return {
        "peak_per_second": round(peak, 1),
        "sent_per_second": round(FACTOR * peak, 1),
        "good_per_second": round(median(each.overload.good_per_second for each in rounds), 1),
        "good_over_peak": round(median(each.ratio for each in rounds), 3),
        "good_over_peak_by_round": [round(each.ratio, 3) for each in rounds],
        "busy_cores": {
            "peak": _median_of([each.busy_at_peak for each in rounds]),
            "overload": _median_of([each.busy_at_overload for each in rounds]),
        },
        "refusals": len(refused_after),
        "prompt_refusals": round(sum(s < PROMPT_S for s in refused_after) / max(1, len(refused_after)), 4),
        "answers_by_status": dict(sum((each.overload.n_by_status for each in rounds), Counter[int]())),
        "broken_connections": sum(each.overload.n_broken_connections for each in rounds),
    }


def _median_of(busy: Sequence[BusyCores]) -> dict[str, float]:
    return {
        "workers": round(median(each.workers for each in busy), 2),
        "event_loop": round(median(each.event_loop for each in busy), 2),
        "client": round(median(each.client for each in busy), 2),
    }


def report_of(results: dict[str, Any]) -> Report:
    """Return Markdown of the results."""
    busy = results["busy_cores"]
    rows = [
        ["good answers a second at the peak", f"{results['peak_per_second']:,.0f}"],
        ["requests a second during the overload", f"{results['sent_per_second']:,.0f}"],
        ["good answers a second during the overload", f"{results['good_per_second']:,.0f}"],
        ["good answers over the peak, the median of rounds", f"{results['good_over_peak']:.3f}"],
        ["refusals within 100 ms", f"{results['prompt_refusals']:.2%}"],
        ["broken connections", str(results["broken_connections"])],
        *(
            [f"busy cores {when}: workers, event loop, client", ", ".join(f"{n:.2f}" for n in busy[key].values())]
            for key, when in (("peak", "at the peak"), ("overload", "during the overload"))
        ),
    ]
    return Report(
        name="overload",
        title=f"Ten times as many requests as can be answered, {results['shape']} in {results['dtype']}",
        command=f"manifold bench overload --shape {results['shape']} --dtype {results['dtype']}",
        parts=[
            table(["", "measured"], rows),
        ],
    )
