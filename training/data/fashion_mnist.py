"""Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28x28. Xiao, Rasul, Vollgraf, arXiv:1708.07747, 2017."""

import gzip

from torch import Tensor

from training.data.files import DataFile, DataFolder
from training.data.idx import parse_idx
from training.data.mnist import GreyImages

_SOURCE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_TRAIN = DataFile(
    name="train-images-idx3-ubyte.gz",
    url=_SOURCE + "train-images-idx3-ubyte.gz",
    sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
)
_TEST = DataFile(
    name="t10k-images-idx3-ubyte.gz",
    url=_SOURCE + "t10k-images-idx3-ubyte.gz",
    sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
)

_SAMPLE = DataFile(
    name="images-idx3-ubyte.gz",
    url="https://github.com/zalandoresearch/fashion-mnist",
    sha256="c364be3cb9a696c06bc563d00aa1c246947490d08b85ff365b6c8c7d85d0dfba",
    is_downloadable=False,
)


def fashion_mnist_images(folder: DataFolder) -> GreyImages:
    """Read both splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    return GreyImages.from_pixels(
        *(parse_idx(gzip.decompress(data)) for data in folder.read("fashion-mnist", [_TRAIN, _TEST]))
    )


def fashion_mnist_sample(folder: DataFolder) -> Tensor:
    """Read the 900 pictures that the source shows on its page, 90 of each class, `[900, 1, 28, 28]` in [0, 1].

    Raises:
        DataError: the file is missing or damaged.
    """
    (data,) = folder.read("fashion-mnist-900", [_SAMPLE])
    return parse_idx(gzip.decompress(data)).float().div(255).unsqueeze(1)
