"""Where a model's time goes, by kernels and torch's operators: `python -m benchmarks.engines.profiles encode int8`."""

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import click
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.engines.own import asked_of, loaded
from benchmarks.engines.run import BENCHMARKS
from benchmarks.lib.checkpoints import write
from benchmarks.lib.report import table
from models import kernels
from models.layers import text_model, transformer
from models.precision import Precision

LEAST_SHARE = 0.01
KERNELS = {
    kernels: ("linear", "add_norm", "attend", "likeliest"),
    transformer: ("embed",),
    text_model: ("pool",),
}
"""By the module that calls them."""


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.argument("precision", type=click.Choice(get_args(Precision)))
@click.option("--size", default=16, show_default=True, help="Texts a batch, or prompts at once.")
@click.option("--threads", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def main(name: str, precision: Precision, size: int, threads: int, as_json: bool) -> None:
    """Print the share of each operator that takes a hundredth of the time or more, those it calls left out."""
    benchmark = BENCHMARKS[name]
    with tempfile.TemporaryDirectory() as folder:
        job = benchmark.job(str(write(benchmark.shape, Path(folder))), n_rounds=1, n_threads=threads)
        model, _ = loaded(replace(job, precision=precision))
    torch.set_num_threads(threads)
    task, requests = asked_of(job, size)
    batches = [requests[start : start + size] for start in range(0, len(requests), size)]
    shares = measured(lambda: [task.run(model, batch) for batch in batches])
    if as_json:
        click.echo(json.dumps(shares, indent=2))
    else:
        click.echo(table(["operator", "share"], [[key, f"{share:.1%}"] for key, share in shares.items()]))


def measured(run: Callable[[], object]) -> dict[str, float]:
    """Shares of the time of all operators of one run, which another warms up; the largest first.

    Blocks are run part by part, not in one call as they are otherwise.
    """
    with torch.inference_mode(), ExitStack() as patched:
        patched.enter_context(patch.object(transformer.Block, "kernel_for", lambda *_: None))
        for module, names in KERNELS.items():
            for name in names:
                patched.enter_context(patch.object(module, name, _recorded(name, getattr(module, name))))
        run()
        with profile(activities=[ProfilerActivity.CPU]) as found:
            run()
    times = {event.key: float(event.self_cpu_time_total) for event in found.key_averages()}
    total = sum(times.values())
    shares = {key: time / total for key, time in times.items() if time >= LEAST_SHARE * total}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _recorded(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Known to the profiler."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with record_function(f"kernels.{name}"):
            return kernel(*args, **kwargs)

    return run


if __name__ == "__main__":
    main()
