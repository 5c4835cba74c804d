"""What a peer is asked on its standard input, and what it answers on its standard output; both JSON."""

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
    """`texts` are token ids; the model lies in `folder`, in the format of Hugging Face; `device` as torch names it."""

    folder: str
    precision: str
    texts: list[list[int]]
    sizes: list[int]
    n_new: int
    n_rounds: int
    n_threads: int
    device: str = "cpu"


def asked() -> Job:
    """From the standard input."""
    return Job(**json.load(sys.stdin))


Rates = dict[str, dict[str, float]]
"""Tokens a second, by the number of workers and by size."""


def told(package: str, rates: Rates, cosine: float | None = None) -> None:
    """To the standard output: the package and its version, and what it does."""
    answer = {"package": f"{package} {version(package)}", "rates": rates, "cosine": cosine}
    sys.stdout.write(json.dumps(answer) + "\n")


Batch = Sequence[list[int]]
Run = Callable[[Batch], object]
Make = Callable[[int, int], Run]
"""Given a number of workers and of threads each: what so many threads of Python may call at once."""


def rates(job: Job, make: Make) -> Rates:
    """Tokens a second on batches of each of the sizes, the texts by length; the median of the rounds.

    Of one worker with all threads, and of a worker for each thread.
    """
    its = sorted(job.texts, key=len, reverse=True)
    batches = {size: [its[start : start + size] for start in range(0, len(its), size)] for size in job.sizes}
    n_tokens = sum(map(len, its))
    return _measured(job, make, lambda size, _: batches[size], lambda size: n_tokens)


def generation_rates(job: Job, make: Make) -> Rates:
    """New tokens a second with so many prompts at once, divided among the workers; otherwise as `rates`."""
    return _measured(
        job,
        make,
        lambda size, n_workers: [job.texts[n:size:n_workers] for n in range(min(n_workers, size))],
        lambda size: size * job.n_new,
    )


def _measured(
    job: Job, make: Make, batches: Callable[[int, int], Sequence[Batch]], n_tokens: Callable[[int], int]
) -> Rates:
    found: Rates = {}
    for n_workers, n_threads in {(1, job.n_threads), (job.n_threads, 1)}:
        run = make(n_workers, n_threads)
        found[str(n_workers)] = {
            str(size): n_tokens(size) / _seconds(job, run, batches(size, n_workers), n_workers) for size in job.sizes
        }
    return found


def _seconds(job: Job, run: Run, batches: Sequence[Batch], n_workers: int) -> float:
    """Of one round over the batches, once every shape is warm; the median of the rounds."""
    spent: list[float] = []
    with ThreadPoolExecutor(n_workers) as workers:
        list(workers.map(run, batches))
        for _ in range(job.n_rounds):
            started_at = time.perf_counter()
            list(workers.map(run, batches))
            spent.append(time.perf_counter() - started_at)
    return median(spent)


def padded(batch: Sequence[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids filled up with 0 to the longest, and the mask."""
    longest = max(map(len, batch))
    return (
        [row + [0] * (longest - len(row)) for row in batch],
        [[1] * len(row) + [0] * (longest - len(row)) for row in batch],
    )
