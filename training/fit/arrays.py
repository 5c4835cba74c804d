"""The items of a NumPy file as a model sees them. Shapes: `N` items, `...` the shape of an item."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.codecs import ImageCodec, VectorCodec
from models.codecs.arrays import Limits, Shape
from models.errors import InvalidItems
from training.errors import DataError
from training.fit.files import load_arrays

ARRAY_SUFFIXES = (".npy", ".npz")


def read_items(path: Path, shape: Shape) -> NDArray[Any]:
    """Return the array `[N, ...]` of a `.npy` file, or of a `.npz` file that has no other.

    Raises:
        DataError: the file cannot be read or holds several arrays, or something else than numbers for items of this
            shape.
    """
    arrays = load_arrays(path)
    if len(arrays) != 1:
        raise DataError(f"{path} has {len(arrays)} arrays; it must have one")
    (array,) = arrays.values()
    if array.shape[1:] != shape or array.dtype.kind not in "iuf":
        found = f"the array has the shape {list(array.shape)} and the type {array.dtype}"
        raise DataError(f"{path}: {found}; the model takes numbers of the shape [items, {', '.join(map(str, shape))}]")
    return array


def choose_codec(array: NDArray[Any], *, as_image: bool | None) -> ImageCodec | VectorCodec:
    """Return the codec for items `[N, ...]`: of pictures if they can be some and `as_image` is not false.

    Pictures have 1 or 3 channels, and numbers from 0 to 1 or of the type uint8.

    Raises:
        DataError: the items are to be pictures, and cannot be.
    """
    shape = array.shape[1:]
    has_shape = len(shape) == 3 and shape[0] in (1, 3)
    has_range = array.dtype == np.uint8 or bool(((array >= 0) & (array <= 1)).all())
    if as_image and not has_shape:
        raise DataError(f"--as image is for items of the shape [1 or 3 channels, height, width]; here it is {[*shape]}")
    if as_image and not has_range:
        low, high = float(array.min()), float(array.max())
        raise DataError(f"--as image is for numbers from 0 to 1; here they are from {low:g} to {high:g}")
    if has_shape and has_range and as_image is not False:
        return ImageCodec(*shape)
    return VectorCodec(shape)


def items_of(array: NDArray[Any], codec: ImageCodec | VectorCodec, path: Path) -> list[Tensor]:
    """Return the items `[N, ...]` of a file as tensors, as a codec makes them of requests.

    Raises:
        DataError: a number is not finite or out of the codec's range.
    """
    try:
        return codec.decode(array, Limits(max_items=len(array), max_pixels=0))
    except InvalidItems as error:
        first = error.problems[0]
        place = "" if first.index is None else f", item {first.index}"
        raise DataError(f"{path}{place}: {first.detail}") from error
