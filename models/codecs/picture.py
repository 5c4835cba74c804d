"""Pictures of several sizes, and their latents, which are smaller pictures with other channels.

Shapes: `C` channels, `H` height, `W` width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from models.cancellation import stop_if_abandoned
from models.codecs.arrays import (
    MAX_FLOAT32,
    ArrayCodec,
    Limits,
    Shape,
    array_from_json,
    check_count,
    check_range,
    describe_fault,
    limit_problems,
)
from models.codecs.image import Arrays, ImageCodec
from models.errors import InvalidItems, Problem
from models.pictures.decoding import EncodedPicture, PictureForm
from models.pictures.placing import PictureOptions

ANY_SIDE = -1
"""Side of the shape of an item whose sides may have any length."""
N_AXES = 3
"""Number of axes of a picture: channels, rows and columns."""


@dataclass(frozen=True, slots=True)
class PictureCodec(ImageCodec):
    """The codec of pictures whose sides are any multiples of a number. They may differ in size within a request.

    An encoded image keeps its size, but for the rows and columns by which a side exceeds a multiple: it is resized to
    be that much smaller, as the library diffusers does it.

    Attributes:
        multiple: number that the height and the width are multiples of.
        max_picture_pixels: most pixels of a picture.
    """

    multiple: int = 1
    max_picture_pixels: int = 2**24

    @classmethod
    def of(cls, n_channels: int, *, multiple: int, max_pixels: int) -> Self:
        """Return the codec of pictures with so many channels, and with at most so many pixels."""
        return cls(n_channels, ANY_SIDE, ANY_SIDE, multiple=multiple, max_picture_pixels=max_pixels)

    @override
    def read_pictures(self, values: object, limits: Limits, options: PictureOptions) -> list[Any] | None:
        if options.fit is not None:
            raise InvalidItems(Problem("this is for models of one size, and this one takes any size", parameter="fit"))
        items = ImageCodec.read_pictures(self, values, limits, options)  # as `super()` knows no classes with slots
        return None if items is None else [self._checked(item) for item in items]

    @override
    def form(self, options: PictureOptions) -> PictureForm:
        return PictureForm(self.channels, None, None, self.style, options, multiple=self.multiple)

    @override
    def _decode_numbers(self, values: object, max_items: int, *, gaps: bool) -> list[NDArray[Any]]:
        arrays = split_maps(values, max_items, lambda item: self._item_from_numbers(item, gaps=gaps))
        is_bytes = isinstance(values, np.ndarray) and values.dtype == np.uint8
        return [array.astype(np.float32) / 255 for array in arrays] if is_bytes else arrays

    @override
    def _item_from_numbers(self, value: object, *, gaps: bool) -> NDArray[Any]:
        array = map_from(value, self.channels, self._expected(), gaps=gaps)
        _, height, width = array.shape
        if height % self.multiple or width % self.multiple:
            raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {self._expected()}"))
        self._check_size(height, width)
        return array

    @override
    def _to_tensors(self, arrays: Arrays, *, gaps: bool) -> list[Tensor]:
        return [_to_tensor(array, i, self.value_range, gaps=gaps) for i, array in enumerate(arrays)]

    def _checked(self, item: Any) -> Any:
        """Return an item of `read_pictures`, or the error if it is an encoded image of a size that is refused."""
        if isinstance(item, EncodedPicture):
            try:
                self._check_size(item.header.height, item.header.width)
            except InvalidItems as error:
                return error
        return item

    def _check_size(self, height: int, width: int) -> None:
        """Raise InvalidItems if a picture of so many rows and columns is too small or too large."""
        if min(height, width) < self.multiple:
            detail = f"the picture has {width} x {height} pixels; each side has at least {self.multiple}"
            raise InvalidItems(Problem(detail))
        rounded = (height - height % self.multiple) * (width - width % self.multiple)
        if rounded > self.max_picture_pixels:
            limit = f"this model takes at most {self.max_picture_pixels}"
            raise InvalidItems(Problem(f"the picture has {width} x {height} pixels, {width * height}; {limit}"))

    def _expected(self) -> str:
        return f"expected numbers of shape [{self.channels}, H, W], where H and W are multiples of {self.multiple}"


@dataclass(frozen=True, slots=True)
class LatentPictureCodec(ArrayCodec):
    """The codec of the latents of pictures of several sizes. Every number is allowed that float32 has.

    Attributes:
        channels: number of channels of a latent.
        max_positions: most positions of a latent, its rows times its columns.
    """

    channels: int
    max_positions: int

    @property
    def shape(self) -> Shape:
        """Return the shape of a latent, with `ANY_SIDE` for the sides."""
        return (self.channels, ANY_SIDE, ANY_SIDE)

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """Return one latent or several as float32 tensors `[C, H, W]`.

        `values` are nested lists of JSON numbers, or an array.

        Raises:
            InvalidItems: a type, a shape or the number of latents is wrong, or a number is not finite.
        """
        arrays = split_maps(values, limits.max_items, lambda item: self._latent_from(item, gaps=gaps))
        limit = (-MAX_FLOAT32, MAX_FLOAT32)
        return [_to_tensor(array, i, limit, gaps=gaps) for i, array in enumerate(arrays)]

    def _latent_from(self, value: object, *, gaps: bool) -> NDArray[Any]:
        if isinstance(value, np.ndarray) and value.dtype == np.uint8:
            raise InvalidItems(Problem("a uint8 array means pixels; here numbers are expected: float32 or float64"))
        array = map_from(value, self.channels, f"expected numbers of shape [{self.channels}, h, w]", gaps=gaps)
        n_positions = array.shape[1] * array.shape[2]
        if n_positions > self.max_positions:
            limit = f"this model takes at most {self.max_positions}"
            raise InvalidItems(Problem(f"the latent has {n_positions} positions; {limit}"))
        return array


def split_maps(values: object, max_items: int, read: Callable[[object], NDArray[Any]]) -> list[NDArray[Any]]:
    """Return what `read` makes of one item or several, which are arrays of three axes.

    Raises:
        InvalidItems: there are too many items, or `read` refuses some; the problems name them.
    """
    items: Sequence[object] = [values]
    if isinstance(values, np.ndarray):
        items = list(values) if values.ndim == N_AXES + 1 else [values]
    elif isinstance(values, list):
        first = values[0] if values else None
        is_single = type(first) in (int, float) or (type(first) is list and _depth(values) <= N_AXES)
        items = [values] if is_single else values
    check_count(len(items), max_items)
    arrays: list[NDArray[Any]] = []
    problems: list[Problem] = []
    for i, item in enumerate(items):
        stop_if_abandoned()
        try:
            arrays.append(read(item))
        except InvalidItems as error:
            problems += [Problem(problem.detail, i) for problem in error.problems]
    if problems:
        raise InvalidItems(*limit_problems(problems))
    return arrays


def map_from(value: object, n_channels: int, expected: str, *, gaps: bool) -> NDArray[Any]:
    """Return numbers as an array `[C, H, W]`, with at least one element.

    Args:
        value: nested lists of numbers, or an array.
        n_channels: the number of channels that it must have.
        expected: what is expected, for errors.
        gaps: whether null is allowed, and becomes NaN.

    Raises:
        InvalidItems: it is something else.
    """
    array = value if isinstance(value, np.ndarray) else array_from_json(value, gaps=gaps)
    if array is None:
        raise InvalidItems(Problem(f"the item {describe_fault(value, gaps=gaps)}; {expected}"))
    if array.ndim != N_AXES or array.shape[0] != n_channels or not array.size:
        raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {expected}"))
    return array


def _to_tensor(array: NDArray[Any], index: int, limits: tuple[float, float], *, gaps: bool) -> Tensor:
    """Return an array in float32.

    Raises:
        InvalidItems: a number is outside of the limits; the problem has the index of the item.
    """
    try:
        check_range(array[None], *limits, gaps=gaps)
    except InvalidItems as error:
        raise InvalidItems(*(Problem(problem.detail, index) for problem in error.problems)) from None
    return torch.from_numpy(array.astype(np.float32, order="C"))


def _depth(values: object) -> int:
    """Return how deep lists are nested, as far as their first elements tell; one more than `N_AXES` at most."""
    depth = 0
    while isinstance(values, list) and values and depth <= N_AXES:
        depth, values = depth + 1, values[0]
    return depth
