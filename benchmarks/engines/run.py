"""Run the cases of a benchmark of engines, each in a process of its own."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.engines.benchmarks import Benchmark, Case, CaseResult
from benchmarks.engines.peers.protocol import Job
from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.environments import python_of
from benchmarks.lib.report import progress


def measure(
    benchmark: Benchmark, *, only: str = "", n_passes: int, n_rounds: int, n_threads: int
) -> dict[str, CaseResult]:
    """Measure the cases whose names contain `only`; all take turns, `n_passes` times.

    Raises:
        ClickException: A process failed.
    """
    cases = [case for case in benchmark.cases if only.lower() in case.name.lower()]
    results = {case.name: CaseResult() for case in cases}
    with tempfile.TemporaryDirectory() as folder, progress(benchmark.shape) as bar:
        job = benchmark.job(str(write_checkpoint(benchmark.shape, Path(folder))), n_rounds, n_threads)
        for case in bar.track(cases * n_passes):
            written = run_case(case, replace(job, precision=case.precision))
            results[case.name].package, results[case.name].cosine = written["package"], written["cosine"]
            results[case.name].passes.append(written["tokens_per_second"])
    return results


def run_case(case: Case, job: Job, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a job in a process of its own, with additional environment variables, and return what it wrote.

    Raises:
        ClickException: The process failed.
    """
    command = [python_of(case.environment), "-W", "ignore", "-m", case.module]
    own = {"OMP_NUM_THREADS": str(job.n_threads), "TOKENIZERS_PARALLELISM": "false"}
    environment = {**os.environ, **own, **(variables or {})}
    done = subprocess.run(  # noqa: S603
        command,
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=environment.get("PYTHONPATH"),
    )
    if done.returncode:
        raise click.ClickException(f"{case.name}: {done.stderr.strip()[-1000:]}")
    written: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return written
