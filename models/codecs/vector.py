"""Vectors: latents, and items that are lists of numbers without a further meaning."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import (
    MAX_FLOAT32,
    ArrayCodec,
    Limits,
    Shape,
    batch_from_array,
    batch_from_json,
    check_range,
)
from models.errors import InvalidItems, Problem


@dataclass(frozen=True, slots=True)
class VectorCodec(ArrayCodec):
    """The codec of arrays of a fixed shape. Every number is allowed that float32 has, but for its rounding.

    Tensors are float64, in which differences and squares of all these numbers are finite.
    """

    shape: Shape

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """Return one item or several as float64 tensors of `shape`.

        `values` are JSON numbers or an array; the numbers of an item may also be flat. With `gaps`, null or NaN stands
        for a missing number and becomes NaN.

        Raises:
            InvalidItems: a type, a shape or the number of items is wrong, or a number is not finite.
        """
        shapes = list(dict.fromkeys((self.shape, (prod(self.shape),))))
        if isinstance(values, np.ndarray):
            if values.dtype == np.uint8:
                raise InvalidItems(Problem("a uint8 array means pixels; here numbers are expected: float32 or float64"))
            batch: NDArray[Any] = batch_from_array(values, shapes, max_items=limits.max_items)
        else:
            batch = batch_from_json(values, shapes, max_items=limits.max_items, gaps=gaps)
        check_range(batch, -MAX_FLOAT32, MAX_FLOAT32, gaps=gaps)
        return [torch.from_numpy(vector) for vector in batch.astype(np.float64, order="C")]
