"""Series: numbers in a unit of their own, which models see normalised.

Shapes: `T` steps of a series, `C` channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from models.codecs.arrays import (
    MAX_FLOAT32,
    MAX_PROBLEMS,
    ArrayCodec,
    Floats,
    Limits,
    Shape,
    array_from_json,
    check_count,
    check_range,
    describe_fault,
    is_single_item,
    limit_problems,
)
from models.errors import InvalidItems, Problem


@dataclass(frozen=True, slots=True)
class SeriesCodec(ArrayCodec):
    """The codec of series of 1 to `max_length` steps, which may differ in length within a request.

    Clients see a list of T numbers or, if there are several channels, of T lists of C numbers. Models see
    (value - mean) / deviation, with a mean and a deviation for each channel. Both are float64, so that small
    deviations from a large mean are kept, and the squares of all accepted numbers are finite.

    Attributes:
        length: number of steps of the series that the model was trained on.
        max_length: maximum number of steps of a series.
        means: means of the channels.
        deviations: standard deviations of the channels.
    """

    length: int
    max_length: int
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def shape(self) -> Shape:
        """Return the shape of the series that the model was trained on, `(T, C)`."""
        return (self.length, len(self.means))

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """Return one series or several as normalised float64 tensors `[T, C]`.

        `values` are JSON numbers, or an array `[T]` or `[n, T]` (one channel), `[T, C]` or `[n, T, C]`. An array
        `[T, 1]` is one series of T steps, and not T series of one step, which are `[T, 1, 1]`. With `gaps`, null or NaN
        stands for a missing number and becomes NaN.

        Raises:
            InvalidItems: a type, a shape, a length or the number of series is wrong, or a number is not finite.
        """
        items = self._split_array(values) if isinstance(values, np.ndarray) else self._split_items(values)
        check_count(len(items), limits.max_items)
        problems: list[Problem] = []
        tensors: list[Tensor] = []
        for i, item in enumerate(items):
            try:
                tensors.append(self._decode_series(self._to_array(item, gaps=gaps), gaps=gaps))
            except InvalidItems as error:
                problems += [Problem(problem.detail, i) for problem in error.problems]
            if len(problems) > MAX_PROBLEMS:
                break
        if problems:
            raise InvalidItems(*limit_problems(problems))
        return tensors

    @override
    def to_client_shape(self, array: Floats) -> Floats:
        return array[:, 0] if len(self.means) == 1 else array

    @override
    def encode(self, item: Floats) -> Floats:
        is_own_unit = set(self.means) == {0.0} and set(self.deviations) == {1.0}
        in_own_unit = item if is_own_unit else item.astype(np.float64) * self.deviations + self.means
        return self.to_client_shape(in_own_unit)

    def _split_items(self, values: object) -> list[Any]:
        """Return the series of a request, which may be a single one without a list around it."""
        if type(values) is not list:
            raise InvalidItems(Problem(f"the items are no list; {self._expected()}"))
        first = values[0] if values else []
        if type(first) is not list:
            is_single = len(self.means) == 1 and is_single_item(values)
        elif len(self.means) == 1:  # of shape [T, 1], or a list of series
            is_single = all(type(step) is list and len(step) == 1 and type(step[0]) is not list for step in values)
        else:
            is_single = bool(first) and type(first[0]) is not list
        return [values] if is_single and values else values

    def _split_array(self, array: NDArray[Any]) -> Sequence[NDArray[Any]]:
        if array.dtype == np.uint8:
            raise InvalidItems(Problem("a uint8 array means pixels; here numbers are expected: float32 or float64"))
        if array.shape[1:] == (len(self.means),) or (array.ndim == 1 and len(self.means) == 1):
            array = array[None]
        if array.ndim not in (2, 3):
            raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {self._expected()}"))
        return list(array)

    def _to_array(self, item: object, *, gaps: bool) -> NDArray[Any]:
        array = item if isinstance(item, np.ndarray) else array_from_json(item, gaps=gaps)
        if array is None:
            raise InvalidItems(Problem(f"the series {describe_fault(item, gaps=gaps)}; {self._expected()}"))
        return array

    def _decode_series(self, series: NDArray[Any], *, gaps: bool) -> Tensor:
        shape = list(series.shape)
        if series.ndim == 1 and len(self.means) == 1:
            series = series[:, None]
        if series.ndim != 2 or series.shape[1] != len(self.means) or not 1 <= len(series) <= self.max_length:
            raise InvalidItems(Problem(f"the shape is {shape}; {self._expected()}"))
        normalised = (series.astype(np.float64, order="C") - self.means) / self.deviations
        check_range(normalised[None], -MAX_FLOAT32, MAX_FLOAT32, gaps=gaps, note=" after normalisation")
        return torch.from_numpy(normalised)

    def _expected(self) -> str:
        steps = f"1 to {self.max_length}"
        shape = f"{steps} numbers" if len(self.means) == 1 else f"{steps} steps of {len(self.means)} numbers"
        return f"expected a series of {shape}"
