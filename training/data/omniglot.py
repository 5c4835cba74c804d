"""Omniglot: handwritten characters of many alphabets, 105x105. Lake, Salakhutdinov, Tenenbaum, Science 350(6266), 2015.

The source offers archives of one PNG file for each drawing. The file read here has those of the smaller background set
`images_background_small1`: 20 drawings each of the 136 characters of five alphabets.
"""

import gzip

from torch import Tensor

from training.data.files import DataFile, DataFolder
from training.data.idx import parse_idx

_SMALL_1 = DataFile(
    name="small1-images-idx3-ubyte.gz",
    url="https://github.com/brendenlake/omniglot",
    sha256="009a9f6c21ca7e9a0ce797f6edc332d04aaf3e51a18aabae459b21e5fd62b1e9",
    is_downloadable=False,
)


def omniglot_characters(folder: DataFolder) -> Tensor:
    """Read the 2,720 drawings, `[2720, 105, 105]` uint8: 255 is ink, and 0 is paper.

    Raises:
        DataError: the file is missing or damaged.
    """
    (data,) = folder.read("omniglot-small", [_SMALL_1])
    return parse_idx(gzip.decompress(data))
