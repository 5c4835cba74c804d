"""Find which of torch's operators and of this project's kernels take a model's time."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, get_args
from unittest.mock import patch

import click
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from app.process.allocator import keep_freed_memory
from benchmarks.engines.benchmarks import BENCHMARKS
from benchmarks.engines.manifold_engine import load, requests_of
from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.report import Report, json_option, print_report, table
from models.ops import avx512
from models.precision import Precision

MIN_SHARE = 0.01
KERNELS_FOLDER = str(Path(avx512.__file__).parent)


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.argument("precision", type=click.Choice(get_args(Precision)))
@click.option("--size", default=16, show_default=True, help="Texts a batch, or prompts at once.")
@click.option("--threads", default=1, show_default=True, help="Threads of torch.")
@json_option
def profiles(name: str, precision: Precision, size: int, threads: int, as_json: bool) -> None:
    """Show which operators take a model's time.

    NAME is a benchmark of `manifold bench engines`. Printed are the operators that take a hundredth of the time or
    more, without the operators that these call. Blocks run part by part here, and not as a single kernel.

    \b
    Keys of the JSON output:
      benchmark, precision, size, threads  as given
      shares                               shares of the time by operator, the largest first; this project's kernels
                                           are kernels.NAME
    """
    keep_freed_memory()
    benchmark = BENCHMARKS[name]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(benchmark.shape, Path(folder))
        job = benchmark.job(str(checkpoint), n_rounds=1, n_threads=threads)
        model, _ = load(replace(job, precision=precision))
    torch.set_num_threads(threads)
    task, requests = requests_of(job, size)
    batches = [requests[start : start + size] for start in range(0, len(requests), size)]
    shares = operator_shares(lambda: [model.run(task, batch) for batch in batches])
    report = Report(
        name=f"profile-{name}-{precision}",
        title=f"Operators: {benchmark.title}, {precision}",
        command=f"manifold bench profiles {name} {precision} --size {size} --threads {threads}",
        parts=[
            table(["operator", "share"], [[operator, f"{share:.1%}"] for operator, share in shares.items()]),
        ],
    )
    output = {"benchmark": name, "precision": precision, "size": size, "threads": threads, "shares": shares}
    print_report(report, output, as_json=as_json)


def operator_shares(run: Callable[[], object]) -> dict[str, float]:
    """Return the shares of the time of all operators in a call, which another call warms up; the largest first."""
    # There is no public switch that makes blocks run part by part.
    with torch.inference_mode(), patch.object(avx512, "pack_blocks", lambda *_, **__: None):
        run()
        with profile(activities=[ProfilerActivity.CPU]) as profiler, _recorded_kernels():
            run()
    times = {event.key: float(event.self_cpu_time_total) for event in profiler.key_averages()}
    total = sum(times.values())
    shares = {key: time / total for key, time in times.items() if time >= MIN_SHARE * total}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


@contextmanager
def _recorded_kernels() -> Iterator[None]:
    """Record the functions of `models.ops.avx512` that other modules call, on this thread, for torch's profiler.

    Kernels are called through ctypes, which the profiler does not see. The interpreter's hook for profilers does.
    """
    open_records: list[tuple[FrameType, Any]] = []

    def on_event(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(KERNELS_FOLDER):
            caller = frame.f_back
            if caller is None or not caller.f_code.co_filename.startswith(KERNELS_FOLDER):
                record: Any = record_function(f"kernels.{frame.f_code.co_name}")
                record.__enter__()
                open_records.append((frame, record))
        elif event == "return" and open_records and open_records[-1][0] is frame:
            open_records.pop()[1].__exit__(None, None, None)

    previous = sys.getprofile()
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(previous)
