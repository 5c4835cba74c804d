"""Vectors of texts with CTranslate2, from its own conversion."""

import tempfile
from pathlib import Path

import ctranslate2
import numpy as np

from benchmarks.engines.peers.common import Batch, Run, asked, rates, told


def main() -> None:
    """`precision` is a compute type."""
    job = asked()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "converted")
        ctranslate2.converters.TransformersConverter(job.folder).convert(place)

        def make(n_workers: int, n_threads: int) -> Run:
            encoder = ctranslate2.Encoder(
                place, compute_type=job.precision, inter_threads=n_workers, intra_threads=n_threads
            )

            def run(batch: Batch) -> list[np.ndarray]:
                states = np.asarray(encoder.forward_batch(list(batch)).last_hidden_state)
                return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

            return run

        told("ctranslate2", rates(job, make))


if __name__ == "__main__":
    main()
