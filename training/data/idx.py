"""The IDX format of MNIST and its kin."""

import math
import struct

import numpy as np
import torch
from torch import Tensor

from training.errors import DataError


def parse_idx(data: bytes) -> Tensor:
    """A uint8 tensor from the IDX format: big-endian magic `00 00 08 rank`, sizes, values.

    Raises:
        DataError: another magic, or fewer or more values than the sizes say.
    """
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise DataError(f"not an IDX file of unsigned bytes: it begins with {data[:4].hex(' ')}")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3])
    if len(values) != math.prod(shape):
        raise DataError(f"the IDX sizes {list(shape)} need {math.prod(shape)} values, the file has {len(values)}")
    return torch.from_numpy(values.reshape(shape).copy())
