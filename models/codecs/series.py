"""Series: numbers in their own unit to normalised tensors `[T, C]` and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.codecs.arrays import (
    LARGEST,
    MAX_PROBLEMS,
    Limits,
    Shape,
    check_count,
    check_range,
    limited,
    numbers,
)
from models.errors import InvalidItems, Problem


@dataclass(frozen=True, slots=True)
class SeriesCodec:
    """Series of 1 to `max_length` steps of as many channels as there are `means` and `deviations`.

    A series is a list of T numbers, or of T lists of C numbers, in its own unit. The model sees
    (value - mean) / deviation, channel by channel. Sets of series need not have one length.
    """

    length: int
    max_length: int
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def shape(self) -> Shape:
        """`(T, C)` of the series the model was trained on."""
        return (self.length, len(self.means))

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """One series or several as float32 tensors `[T, C]`, normalised; with `gaps`, null becomes NaN.

        `values` are JSON numbers, or an array `[T]`, `[T, C]`, `[n, T]` (one channel) or `[n, T, C]`.

        Raises:
            InvalidItems: wrong type, shape, length, range or count.
        """
        if isinstance(values, np.ndarray):
            return self._decode_array(values, limits, gaps=gaps)
        problems: list[Problem] = []
        series: list[Tensor] = []
        items = self._items(values)
        check_count(len(items), limits.max_items)
        for i, item in enumerate(items):
            try:
                series.append(self._decode_one(numbers(item, gaps=gaps), gaps=gaps))
            except InvalidItems as refused:
                problems += [Problem(problem.detail, i) for problem in refused.problems]
            if len(problems) > MAX_PROBLEMS:
                break
        if problems:
            raise InvalidItems(*limited(problems))
        return series

    def arrange(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """An array `[T, C]` as clients see it: one channel loses its dimension."""
        return array[:, 0] if len(self.means) == 1 else array

    def encode(self, item: NDArray[np.float32]) -> NDArray[np.float32]:
        """`[T, C]` as clients see it, in the series' own unit."""
        own = item * np.asarray(self.deviations, dtype=np.float32) + np.asarray(self.means, dtype=np.float32)
        return self.arrange(own)

    def _items(self, values: object) -> list[Any]:
        """The series of a request, which may be one bare series."""
        if type(values) is not list:
            raise InvalidItems(Problem(f"the items are no list; {self._expected}"))
        depth, inner = 1, values[0] if values else None
        while type(inner) is list and depth < 4:
            depth, inner = depth + 1, inner[0] if inner else None
        return [values] if depth == self._bare_rank and values else values

    def _decode_array(self, array: NDArray[Any], limits: Limits, *, gaps: bool) -> list[Tensor]:
        if array.dtype == np.uint8:
            raise InvalidItems(Problem("a uint8 array means pixels; here numbers are expected: float32 or float64"))
        if array.ndim == self._bare_rank:
            array = array[None]
        if array.ndim not in (2, 3):
            raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {self._expected}"))
        check_count(len(array), limits.max_items)
        return [self._decode_one(series, gaps=gaps) for series in array]

    def _decode_one(self, series: NDArray[Any] | None, *, gaps: bool) -> Tensor:
        if series is None:
            raise InvalidItems(Problem(f"the series holds something other than numbers; {self._expected}"))
        given = list(series.shape)
        if series.ndim == 1 and len(self.means) == 1:
            series = series[:, None]
        if series.ndim != 2 or series.shape[1] != len(self.means) or not 1 <= len(series) <= self.max_length:
            raise InvalidItems(Problem(f"the shape is {given}; {self._expected}"))
        normalised = (series.astype(np.float64) - self.means) / self.deviations
        check_range(normalised[None], -LARGEST, LARGEST, gaps=gaps)
        return torch.from_numpy(normalised.astype(np.float32))

    @property
    def _bare_rank(self) -> int:
        """Dimensions of a series as clients see it."""
        return 1 if len(self.means) == 1 else 2

    @property
    def _expected(self) -> str:
        steps = f"1 to {self.max_length}"
        shape = f"{steps} numbers" if len(self.means) == 1 else f"{steps} steps of {len(self.means)} numbers"
        return f"expected a series of {shape}"
