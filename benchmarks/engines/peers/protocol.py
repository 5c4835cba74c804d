"""Read a job from the standard input of an engine's process, measure it, and write the rates as JSON."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work that an engine is asked to do.

    `texts` are token ids. The model lies in `folder`, in the format of Hugging Face. `device` is a name of torch's.
    `batch_sizes` are numbers of texts a batch, or of prompts at once. If `n_new_tokens` is 0, texts are encoded;
    otherwise prompts are continued by so many tokens each.
    """

    folder: str
    precision: str
    texts: list[list[int]]
    batch_sizes: list[int]
    n_new_tokens: int
    n_rounds: int
    n_threads: int
    device: str = "cpu"


TokenRates = dict[str, dict[str, float]]
"""Tokens a second, by the number of workers and by the batch size, both as text because JSON has no other keys."""
Batch = Sequence[list[int]]
Runner = Callable[[Batch], object]
MakeRunner = Callable[[int, int], Runner]
"""Given numbers of workers and of threads a worker, returns a function that so many threads of Python may call."""


def read_job() -> Job:
    """Read the job from the standard input."""
    return Job(**json.load(sys.stdin))


def write_result(package: str, rates: TokenRates, cosine: float | None = None) -> None:
    """Write the rates of a package to the standard output, with its version."""
    result = {"package": f"{package} {version(package)}", "tokens_per_second": rates, "cosine": cosine}
    sys.stdout.write(json.dumps(result) + "\n")


def encoding_rates(job: Job, make_runner: MakeRunner) -> TokenRates:
    """Measure tokens a second in batches of each size, with the longest texts first; the median of the rounds.

    Both one worker with all threads and a worker for each thread are measured.
    """
    ordered = sorted(job.texts, key=len, reverse=True)
    batches = {size: [ordered[i : i + size] for i in range(0, len(ordered), size)] for size in job.batch_sizes}
    n_tokens = sum(map(len, ordered))
    return _rates(job, make_runner, lambda size, n_workers: batches[size], lambda size: n_tokens)


def generation_rates(job: Job, make_runner: MakeRunner) -> TokenRates:
    """Measure new tokens a second, where the prompts are divided among the workers; otherwise as `encoding_rates`."""
    return _rates(
        job,
        make_runner,
        lambda size, n_workers: [job.texts[i:size:n_workers] for i in range(min(n_workers, size))],
        lambda size: size * job.n_new_tokens,
    )


def _rates(
    job: Job,
    make_runner: MakeRunner,
    batches: Callable[[int, int], Sequence[Batch]],
    n_tokens: Callable[[int], int],
) -> TokenRates:
    rates: TokenRates = {}
    for n_workers, n_threads in {(1, job.n_threads), (job.n_threads, 1)}:
        run = make_runner(n_workers, n_threads)
        rates[str(n_workers)] = {
            str(size): n_tokens(size) / _seconds(job, run, batches(size, n_workers), n_workers)
            for size in job.batch_sizes
        }
    return rates


def _seconds(job: Job, run: Runner, batches: Sequence[Batch], n_workers: int) -> float:
    """Return the median time of a round over the batches, after one that warms every shape up."""
    rounds: list[float] = []
    with ThreadPoolExecutor(n_workers) as workers:
        list(workers.map(run, batches))
        for _ in range(job.n_rounds):
            started_at = time.perf_counter()
            list(workers.map(run, batches))
            rounds.append(time.perf_counter() - started_at)
    return median(rounds)


def pad(batch: Sequence[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return ids padded with 0 to the longest text, and the attention mask."""
    longest = max(map(len, batch))
    return (
        [row + [0] * (longest - len(row)) for row in batch],
        [[1] * len(row) + [0] * (longest - len(row)) for row in batch],
    )
