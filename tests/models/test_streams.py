"""A stream is read alike by another process and in another batch; a lossless one by any number of threads, too.

What a lossy stream holds are latents. Their items are float32, whose last bit may differ with the number of threads.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.checkpoint import load_model, read_checkpoint
from models.family import Model
from models.tasks import COMPRESS, DECOMPRESS
from models.tasks.autoencoding import CompressRequest, DecompressRequest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "lossless": "weights/autoencoders/variational/vae-mnist",
    "lossy": "weights/autoencoders/convolutional/conv-ae-mnist",
    "series": "weights/autoencoders/recurrent/lstm-ae-ecg",
}


def read(folder: str, streams: list[bytes]) -> list[str]:
    """Digests of the items that each stream holds; all streams are one batch."""
    model = load_model(read_checkpoint(ROOT / folder))
    with torch.inference_mode():
        results = model.run(DECOMPRESS, [DecompressRequest(stream=stream, max_items=100) for stream in streams])
    return [hashlib.sha256(torch.stack(list(r.items)).numpy().tobytes()).hexdigest() for r in results]


@pytest.mark.parametrize("kind", FOLDERS)
def test_what_is_read_elsewhere_is_the_same_to_the_last_bit(kind: str) -> None:
    model: Model = load_model(read_checkpoint(ROOT / FOLDERS[kind]))
    items = torch.rand(12, *model.input_shape, generator=torch.Generator().manual_seed(0))
    if kind == "lossless":
        items = (items < 0.2).float()
    lossless = kind == "lossless"
    with torch.inference_mode():
        whole = model.run(COMPRESS, [CompressRequest(items=tuple(items), lossless=lossless)])
        apart = model.run(COMPRESS, [CompressRequest(items=(item,), lossless=lossless) for item in items])
    streams = [result.stream for result in (*whole, *apart)]
    elsewhere = [sys.executable, "-m", __name__, FOLDERS[kind], *(stream.hex() for stream in streams)]
    environment = os.environ | {"OMP_NUM_THREADS": "1" if lossless else str(torch.get_num_threads())}
    done = subprocess.run(elsewhere, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == read(FOLDERS[kind], streams[::-1])[::-1], done.stderr
    assert len(done.stdout.split()) == len(streams)
    if lossless:
        assert read(FOLDERS[kind], streams)[0] == hashlib.sha256(items.numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    print("\n".join(read(sys.argv[1], [bytes.fromhex(stream) for stream in sys.argv[2:]])))  # noqa: T201
