"""Streams of shipped models, read by another process and in another batch.

The items of lossless streams do not depend on the number of threads either. Those of lossy streams do, in the last bit,
because their latents are decoded in float32.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import torch

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import load_model, read_checkpoint
from models.tasks import COMPRESS, DECOMPRESS
from models.tasks.autoencoding import CompressRequest, DecompressRequest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "lossless": "weights/autoencoders/variational/vae-mnist",
    "lossy": "weights/autoencoders/convolutional/conv-ae-mnist",
    "series": "weights/autoencoders/recurrent/lstm-ae-ecg",
}


def digests(folder: str, streams: list[bytes]) -> list[str]:
    """Return a digest of the items of each stream; all streams are read in one batch."""
    model = load_model(read_checkpoint(ROOT / folder))
    with torch.inference_mode():
        results = model.run(DECOMPRESS, [DecompressRequest(stream=stream, max_items=100) for stream in streams])
    return [hashlib.sha256(torch.stack(list(r.items)).numpy().tobytes()).hexdigest() for r in results]


@pytest.mark.parametrize("kind", FOLDERS)
def test_another_process_reads_the_same_items(kind: str) -> None:
    model = cast("Autoencoder", load_model(read_checkpoint(ROOT / FOLDERS[kind])))
    items = torch.rand(12, *model.input_shape, generator=torch.Generator().manual_seed(0))
    if kind == "lossless":
        items = (items < 0.2).float()
    lossless = kind == "lossless"
    with torch.inference_mode():
        together = model.run(COMPRESS, [CompressRequest(items=tuple(items), lossless=lossless)])
        separate = model.run(COMPRESS, [CompressRequest(items=(item,), lossless=lossless) for item in items])
    streams = [result.stream for result in (*together, *separate)]
    command = [sys.executable, "-m", __name__, FOLDERS[kind], *(stream.hex() for stream in streams)]
    environment = os.environ | {"OMP_NUM_THREADS": "1" if lossless else str(torch.get_num_threads())}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == digests(FOLDERS[kind], streams[::-1])[::-1], done.stderr
    assert len(done.stdout.split()) == len(streams)
    if lossless:
        assert digests(FOLDERS[kind], streams)[0] == hashlib.sha256(items.numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    print("\n".join(digests(sys.argv[1], [bytes.fromhex(stream) for stream in sys.argv[2:]])))  # noqa: T201
