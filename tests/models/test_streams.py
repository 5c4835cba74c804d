"""Streams of shipped models, read by another process and in another batch.

The items of lossless streams do not depend on the number of threads either. Those of lossy streams do, in the last bit,
because their latents are decoded in float32.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import load_model, read_checkpoint
from models.tasks import COMPRESS, COMPRESS_SENTENCES, DECOMPRESS
from models.tasks.autoencoding import CompressRequest, DecompressRequest
from models.tasks.sentences import CompressSentencesRequest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "lossless": "weights/autoencoders/variational/vae-mnist",
    "lossy": "weights/autoencoders/convolutional/conv-ae-mnist",
    "series": "weights/autoencoders/recurrent/lstm-ae-ecg",
    "sentences": "weights/autoencoders/recurrent_text/gru-ae-sentences",
}


def digests(folder: str, streams: list[bytes]) -> list[str]:
    """Return a digest of the items of each stream; all streams are read in one batch."""
    model = load_model(read_checkpoint(ROOT / folder))
    with torch.inference_mode():
        results = model.run(DECOMPRESS, [DecompressRequest(stream=stream, max_items=100) for stream in streams])
    return [digest(result.items) for result in results]


def digest(items: Sequence[Tensor]) -> str:
    """Return a digest of items."""
    return hashlib.sha256(b"".join(item.numpy().tobytes() for item in items)).hexdigest()


def example_items(kind: str, model: Autoencoder) -> list[Tensor]:
    """Return items of a model: random ones, or ones that a model of sentences has written itself."""
    generator = torch.Generator().manual_seed(0)
    if kind == "sentences":
        latents = torch.randn(12, *model.latent_shape, generator=generator)
        return [item for item in model.items_of(latents, ()) if 0 < len(item) < model.input_shape[0]]
    items = torch.rand(12, *model.input_shape, generator=generator)
    return list((items < 0.2).float() if kind == "lossless" else items)


@pytest.mark.parametrize("kind", FOLDERS)
def test_another_process_reads_the_same_items(kind: str) -> None:
    model = cast("Autoencoder", load_model(read_checkpoint(ROOT / FOLDERS[kind])))
    lossless = kind in ("lossless", "sentences")
    with torch.inference_mode():
        items = example_items(kind, model)
        groups = [tuple(items), *((item,) for item in items)]
        if kind == "sentences":
            together, *separate = model.run(COMPRESS_SENTENCES, [CompressSentencesRequest(items=g) for g in groups])
        else:
            requests = [CompressRequest(items=group, lossless=lossless) for group in groups]
            together, *separate = model.run(COMPRESS, requests)
    assert len(items) > 5
    streams = [result.stream for result in (together, *separate)]
    command = [sys.executable, "-m", __name__, FOLDERS[kind], *(stream.hex() for stream in streams)]
    environment = os.environ | {"OMP_NUM_THREADS": "1" if lossless else str(torch.get_num_threads())}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == digests(FOLDERS[kind], streams[::-1])[::-1], done.stderr
    assert len(done.stdout.split()) == len(streams)
    if lossless:
        assert digests(FOLDERS[kind], streams)[0] == digest(items)


if __name__ == "__main__":
    print("\n".join(digests(sys.argv[1], [bytes.fromhex(stream) for stream in sys.argv[2:]])))  # noqa: T201
