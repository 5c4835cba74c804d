"""Encode texts with CTranslate2, which converts the model with its own tool."""

import tempfile
from pathlib import Path

import ctranslate2
import numpy as np

from benchmarks.engines.peers.protocol import Batch, Runner, encoding_rates, read_job, write_result


def main() -> None:
    """Run a job whose precision is a compute type of CTranslate2."""
    job = read_job()
    with tempfile.TemporaryDirectory() as folder:
        converted = str(Path(folder) / "converted")
        ctranslate2.converters.TransformersConverter(job.folder).convert(converted)

        def make_runner(n_workers: int, n_threads: int) -> Runner:
            encoder = ctranslate2.Encoder(
                converted, compute_type=job.precision, inter_threads=n_workers, intra_threads=n_threads
            )

            def run(batch: Batch) -> list[np.ndarray]:
                states = np.asarray(encoder.forward_batch(list(batch)).last_hidden_state)
                return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

            return run

        write_result("ctranslate2", encoding_rates(job, make_runner))


if __name__ == "__main__":
    main()
