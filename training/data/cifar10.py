"""The first 4,000 images of CIFAR-10's training split, 32x32 in colour. Krizhevsky 2009.

They are read from the file `cifar10-first4000/images-idx4-ubyte.gz` if the data folder has it, which holds these images
alone in IDX format. Otherwise they are read from the official archive, which is downloaded. The pixels are the same.
"""

import gzip
import io
import tarfile
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.files import DataFile, DataFolder
from training.data.idx import parse_idx

N_IMAGES, N_TEST = 4000, 400
_SIDE = 32
_SUBSET_FOLDER = "cifar10-first4000"
_SUBSET = DataFile(
    name="images-idx4-ubyte.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar.html",
    sha256="c7feab0f35378ba7687c6605d1822c9a53c855138f82d073f4faa518002ad513",
)
_ARCHIVE = DataFile(
    name="cifar-10-binary.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_MEMBER = "cifar-10-batches-bin/data_batch_1.bin"


@dataclass(frozen=True)
class ColourImages:
    """Images `[n, 3, 32, 32]`, float32 in [0, 1]: 3,600 in `train`, and the last 400 in `test`."""

    train: Tensor
    test: Tensor


def cifar10_images(folder: DataFolder) -> ColourImages:
    """Read both parts.

    Raises:
        DataError: a file is missing or damaged.
    """
    if (folder.path / _SUBSET_FOLDER / _SUBSET.name).exists():
        (data,) = folder.read(_SUBSET_FOLDER, [_SUBSET])
        pixels = parse_idx(gzip.decompress(data)).permute(0, 3, 1, 2)
    else:
        (data,) = folder.read("cifar10", [_ARCHIVE])
        pixels = first_images(data)
    images = pixels.float().div(255).contiguous()
    return ColourImages(images[:-N_TEST], images[-N_TEST:])


def first_images(archive: bytes) -> Tensor:
    """Return the first images of the official archive, `[4000, 3, 32, 32]` uint8.

    Each record of the archive is a label and 3,072 pixels, one colour after the other.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        member = files.extractfile(_MEMBER)
        records = np.frombuffer(member.read() if member else b"", dtype=np.uint8)
    rows = records.reshape(-1, 1 + 3 * _SIDE * _SIDE)[:N_IMAGES, 1:]
    return torch.from_numpy(rows.copy()).view(-1, 3, _SIDE, _SIDE)
