"""Vectors: latents, and items that are plain lists of numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import LARGEST, Limits, Shape, batch_of_array, batch_of_numbers, check_range
from models.errors import InvalidItems, Problem


@dataclass(frozen=True, slots=True)
class VectorCodec:
    """Numbers of a fixed shape; any finite float32 is allowed."""

    shape: Shape

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """JSON numbers or an array, one item or several, as float32 tensors of `shape`; with `gaps`, null becomes NaN.

        Raises:
            InvalidItems: wrong type, shape or count, NaN, infinity, or bytes of an image.
        """
        shapes = [self.shape]
        if isinstance(values, np.ndarray):
            if values.dtype == np.uint8:
                raise InvalidItems(Problem("a uint8 array means pixels; here numbers are expected: float32 or float64"))
            batch: NDArray[Any] = batch_of_array(values, shapes, max_items=limits.max_items)
        else:
            batch = batch_of_numbers(values, shapes, max_items=limits.max_items, gaps=gaps)
        check_range(batch, -LARGEST, LARGEST, gaps=gaps)
        return [torch.from_numpy(vector) for vector in batch.astype(np.float32)]

    def arrange(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """An array of an item's shape as clients see it."""
        return array

    def encode(self, item: NDArray[np.float32]) -> NDArray[np.float32]:
        """As it is."""
        return item
