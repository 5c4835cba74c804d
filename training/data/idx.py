"""The IDX file format, used by MNIST and similar data sets."""

import math
import struct

import numpy as np
import torch
from torch import Tensor

from training.errors import DataError


def parse_idx(data: bytes) -> Tensor:
    """Return the uint8 tensor of an IDX file: the bytes `00 00 08 rank`, big-endian sizes, then the values.

    Raises:
        DataError: the first bytes differ, or the number of values does not match the sizes.
    """
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise DataError(f"not an IDX file of unsigned bytes: it begins with {data[:4].hex(' ')}")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3])
    if len(values) != math.prod(shape):
        raise DataError(f"the IDX sizes {list(shape)} need {math.prod(shape)} values, the file has {len(values)}")
    return torch.from_numpy(values.reshape(shape).copy())
