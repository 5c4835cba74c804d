"""Vectors of texts with CTranslate2, from its own conversion."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np

from benchmarks.peers.common import asked, rates, told


def main() -> None:
    """`precision` is a compute type."""
    job = asked()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "converted")
        ctranslate2.converters.TransformersConverter(job.folder).convert(place)
        encoder = ctranslate2.Encoder(place, compute_type=job.precision, inter_threads=1, intra_threads=job.n_threads)

        def run(batch: Sequence[list[int]]) -> list[np.ndarray]:
            states = np.asarray(encoder.forward_batch(list(batch)).last_hidden_state)
            return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

        told("ctranslate2", rates(job, run))


if __name__ == "__main__":
    main()
