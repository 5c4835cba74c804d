"""What a peer is asked on its standard input, and what it answers on its standard output; both JSON."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Job:
    """`texts` are token ids; the model lies in `folder`, in the format of Hugging Face."""

    folder: str
    precision: str
    texts: list[list[int]]
    sizes: list[int]
    n_new: int
    n_rounds: int
    n_threads: int


def asked() -> Job:
    """From the standard input."""
    return Job(**json.load(sys.stdin))


def told(package: str, rates: dict[str, float], cosine: float | None = None) -> None:
    """To the standard output: the package and its version, and tokens a second by size."""
    answer = {"package": f"{package} {version(package)}", "rates": rates, "cosine": cosine}
    sys.stdout.write(json.dumps(answer) + "\n")


def rates(job: Job, run: Callable[[Sequence[list[int]]], object]) -> dict[str, float]:
    """Tokens a second of `run` on batches of each of the sizes, the texts by length; the median of the rounds."""
    its = sorted(job.texts, key=len, reverse=True)
    n_tokens = sum(map(len, its))
    return {
        str(size): n_tokens / _seconds(job, run, [its[start : start + size] for start in range(0, len(its), size)])
        for size in job.sizes
    }


def generation_rates(job: Job, run: Callable[[Sequence[list[int]]], object]) -> dict[str, float]:
    """New tokens a second with so many prompts at once; the median of the rounds."""
    return {str(size): size * job.n_new / _seconds(job, run, [job.texts[:size]]) for size in job.sizes}


def _seconds(job: Job, run: Callable[[Sequence[list[int]]], object], batches: Sequence[list[list[int]]]) -> float:
    """Of one round over the batches, once every shape is warm."""
    for batch in batches:
        run(batch)
    seconds: list[float] = []
    for _ in range(job.n_rounds):
        started_at = time.perf_counter()
        for batch in batches:
            run(batch)
        seconds.append(time.perf_counter() - started_at)
    return median(seconds)


def padded(batch: Sequence[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids filled up with 0 to the longest, and the mask."""
    longest = max(map(len, batch))
    return (
        [row + [0] * (longest - len(row)) for row in batch],
        [[1] * len(row) + [0] * (longest - len(row)) for row in batch],
    )
