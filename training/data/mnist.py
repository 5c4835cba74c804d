"""MNIST: 60,000 + 10,000 grey digits of 28x28. LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 1998."""

import gzip
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from training.data.files import DataFile, DataFolder
from training.data.idx import parse_idx

_SOURCE = "http://yann.lecun.com/exdb/mnist/"
_TRAIN = DataFile(
    name="train-images-idx3-ubyte.gz",
    url=_SOURCE + "train-images-idx3-ubyte.gz",
    sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
)
_TEST = DataFile(
    name="t10k-images-idx3-ubyte.gz",
    url=_SOURCE + "t10k-images-idx3-ubyte.gz",
    sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
)
_TRAIN_LABELS = DataFile(
    name="train-labels-idx1-ubyte.gz",
    url=_SOURCE + "train-labels-idx1-ubyte.gz",
    sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
)
_TEST_LABELS = DataFile(
    name="t10k-labels-idx1-ubyte.gz",
    url=_SOURCE + "t10k-labels-idx1-ubyte.gz",
    sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)

DIGITS = tuple("0123456789")
"""Names of the labels, in order."""


@dataclass(frozen=True)
class GreyImages:
    """Images `[n, 1, 28, 28]`, float32 in [0, 1]: 60,000 in `train` and 10,000 in `test`."""

    train: Tensor
    test: Tensor

    @classmethod
    def from_pixels(cls, train: Tensor, test: Tensor) -> Self:
        """Scale pixels `[n, 28, 28]`, uint8."""
        return cls(*(pixels.float().div(255).unsqueeze(1) for pixels in (train, test)))


def mnist_images(folder: DataFolder) -> GreyImages:
    """Read the images of both splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    return GreyImages.from_pixels(*(parse_idx(gzip.decompress(data)) for data in folder.read("mnist", [_TRAIN, _TEST])))


@dataclass(frozen=True)
class MnistLabels:
    """Labels `[n]`, int64, as indices into `DIGITS`: 60,000 in `train` and 10,000 in `test`."""

    train: Tensor
    test: Tensor


def mnist_labels(folder: DataFolder) -> MnistLabels:
    """Read the labels of both splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    files = folder.read("mnist", [_TRAIN_LABELS, _TEST_LABELS])
    return MnistLabels(*(parse_idx(gzip.decompress(data)).long() for data in files))
