"""Measure how busy a server keeps a GPU: `/encode` over many connections, with wrk and nvidia-smi."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.servers import start_manifold
from benchmarks.lib.texts import random_texts, text_lengths
from benchmarks.server.requests import JSON_TYPE, NPY_TYPE
from benchmarks.server.wrk import WrkResult, run_wrk

N_CONNECTIONS, N_TEXTS, MAX_QUEUE_ITEMS = 128, 4096, 32768
WARM_UP_S, SAMPLE_INTERVAL_S = 3.0, 0.1
FORMATS = ((1, JSON_TYPE), (32, JSON_TYPE), (32, NPY_TYPE), (128, NPY_TYPE))
"""Texts a request, and the media type of the answer."""


@dataclass(frozen=True, kw_only=True)
class ServingResult:
    """A load over HTTP, the texts of each request, and the share of the time in which the GPU was busy."""

    n_texts: int
    accept: str
    load: WrkResult
    gpu_busy: float
    texts_per_second: float
    """Texts in good answers."""


def measure_serving(seconds: float) -> list[ServingResult]:
    """Measure `/encode` with BERT-base's shape in each of the formats."""
    texts = random_texts(text_lengths(N_TEXTS))
    results: list[ServingResult] = []
    with tempfile.TemporaryDirectory() as directory:
        folder, bodies = write_checkpoint("bert-base", Path(directory) / "base"), Path(directory) / "bodies"
        options = ("--models", "base", "--model", f"base={folder}", "--device", "cuda")
        with start_manifold(*options, "--max-queue-items", str(MAX_QUEUE_ITEMS)) as server:
            url = f"{server.url}/encode"
            for n_texts, accept in FORMATS:
                bodies.write_text("".join(_bodies(texts, n_texts)))
                run_wrk(url, bodies, n_connections=N_CONNECTIONS, seconds=WARM_UP_S, accept=accept)
                with sampled_utilisation() as samples:
                    load = run_wrk(url, bodies, n_connections=N_CONNECTIONS, seconds=seconds, accept=accept)
                results.append(
                    ServingResult(
                        n_texts=n_texts,
                        accept=accept,
                        load=load,
                        gpu_busy=mean(samples) / 100,
                        texts_per_second=n_texts * load.good_per_second,
                    )
                )
    return results


def _bodies(texts: Sequence[str], n_texts: int) -> Iterator[str]:
    for start in range(0, len(texts), n_texts):
        yield json.dumps({"model": "base", "inputs": texts[start : start + n_texts]}) + "\n"


@contextmanager
def sampled_utilisation() -> Iterator[list[int]]:
    """Yield a list that is filled with the GPU's utilisation in percent, read from the driver again and again."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    samples: list[int] = []
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_INTERVAL_S):
            samples.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))  # noqa: S603

    with ThreadPoolExecutor(1) as executor:
        sampling = executor.submit(sample)
        try:
            yield samples
        finally:
            is_over.set()
        sampling.result()
