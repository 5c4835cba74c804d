"""Images: numbers in [0, 1], or PNG, JPEG and WebP files, as tensors `[C, H, W]` and back.

Shapes: `C` channels, `H` height, `W` width.
"""

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.cancellation import stop_if_abandoned
from models.codecs.arrays import (
    ArrayCodec,
    Limits,
    Shape,
    batch_from_array,
    batch_from_json,
    check_count,
    check_range,
    item_from_json,
    limit_problems,
)
from models.codecs.data_url import bytes_of_string
from models.errors import InvalidItems, Problem, UndecodableItems
from models.pictures.decoding import DecodedPicture, EncodedPicture, PictureForm, decode_picture
from models.pictures.placing import NO_OPTIONS, PHOTOGRAPHS, PictureOptions, Style
from models.pictures.reading import read_header

GRID_GAP_PX = 2
JPEG_QUALITY = 95
"""Quality of JPEGs that are answered, of 100."""
Arrays = NDArray[Any] | Sequence[NDArray[Any]]
"""Several items of one shape as one array, or any items."""
Warn = Callable[[Problem], None]
"""Receives what a client should know about an item that is accepted all the same."""
_ENCODED = (str, bytes, EncodedPicture, DecodedPicture, InvalidItems)
"""Types of items that are encoded images, or stand for them."""


@dataclass(frozen=True, slots=True)
class ImageCodec(ArrayCodec):
    """The codec of images with 1 (grey) or 3 (RGB) channels. Values are in [0, 1]; 0 is black.

    Attributes:
        style: the paper and the ink of the pictures that the model was trained on.
    """

    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    stored_bits: ClassVar[int] = 8

    channels: int
    height: int
    width: int
    style: Style = PHOTOGRAPHS

    @property
    def shape(self) -> Shape:
        """Return the shape of an image, `(C, H, W)`."""
        return (self.channels, self.height, self.width)

    def decode(
        self,
        values: object,
        limits: Limits,
        *,
        options: PictureOptions = NO_OPTIONS,
        gaps: bool = False,
        warn: Warn = lambda problem: None,
    ) -> list[Tensor]:
        """Return one item or several as float32 tensors `[C, H, W]` in [0, 1].

        `values` are JSON numbers, nested or flat; an array, in which uint8 counts from 0 to 255; or encoded images, as
        bytes or as strings in base64 with or without `data:` before it, or as `read_pictures` returns them, or decoded.
        `options` are for encoded images. With `gaps`, null or NaN stands for a missing number and becomes NaN. `warn`
        is called with what seems wrong with an image.

        Raises:
            InvalidItems: a type, a shape, a value or the number of items is wrong, or an option is not for these items.
            UndecodableItems: a string is not base64, or bytes are not an image.
        """
        items = self.read_pictures(values, limits, options)
        if items is not None:
            arrays: Arrays = self._decode_each(items, options, warn, gaps=gaps)
        else:
            for name in options.given():
                raise InvalidItems(Problem("this is for encoded images, and the inputs are numbers", parameter=name))
            arrays = self._decode_numbers(values, limits.max_items, gaps=gaps)
        return self._to_tensors(arrays, gaps=gaps)

    def read_pictures(self, values: object, limits: Limits, options: PictureOptions) -> list[Any] | None:
        """Return the items with `EncodedPicture` in place of encoded images; None if there are none.

        The images are within the limits, as far as their headers tell; none is decoded. In place of one that is refused
        stands the error, so that `decode` can raise one error for all items.

        Raises:
            InvalidItems: there are too many items, or an option is not for them.
        """
        items = values if isinstance(values, list) else [values]
        if not items or not _has_encoded(items[: limits.max_items + 1]):
            return None
        check_count(len(items), limits.max_items)
        self._check_options(options, items)
        found, n_left = list(items), limits.max_pixels
        for i, item in enumerate(items):
            stop_if_abandoned()
            if isinstance(item, (str, bytes)):
                try:
                    data = _bytes_of(item)
                    header = read_header(data, n_left)
                except InvalidItems as error:
                    found[i] = error
                else:
                    n_left -= header.width * header.height
                    found[i] = EncodedPicture(data, header)
        return found

    def form(self, options: PictureOptions) -> PictureForm:
        """Return the form into which encoded images are brought."""
        return PictureForm(self.channels, self.height, self.width, self.style, options)

    def png(self, images: NDArray[np.float32]) -> bytes:
        """Return a PNG of images `[n, C, H, W]` in [0, 1]: a single one as it is, several as a grid."""
        file = io.BytesIO()
        self._canvas(images).save(file, "PNG")
        return file.getvalue()

    def jpeg(self, images: NDArray[np.float32]) -> bytes:
        """Return a JPEG of images `[n, C, H, W]` in [0, 1], as `png` does."""
        file = io.BytesIO()
        self._canvas(images).save(file, "JPEG", quality=JPEG_QUALITY)
        return file.getvalue()

    def _canvas(self, images: NDArray[np.float32]) -> Image.Image:
        """Return a picture of images `[n, C, H, W]`, in a grid if there are several."""
        height, width = images.shape[2:]
        n_columns = math.ceil(math.sqrt(len(images)))
        n_rows = math.ceil(len(images) / n_columns)
        gap = GRID_GAP_PX if len(images) > 1 else 0
        column_width, row_height = width + gap, height + gap
        size = (n_columns * column_width - gap, n_rows * row_height - gap)
        canvas = Image.new("L" if self.channels == 1 else "RGB", size, "white")
        pixels = np.rint(images.clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)  # (n, H, W, C)
        for i, image in enumerate(pixels):
            row, column = divmod(i, n_columns)
            tile = Image.fromarray(image[..., 0] if self.channels == 1 else np.ascontiguousarray(image))
            canvas.paste(tile, (column * column_width, row * row_height))
        return canvas

    def data_url(self, image: NDArray[np.float32]) -> str:
        """Return the `data:` URL of a PNG of an image `[C, H, W]` in [0, 1]."""
        encoded = base64.b64encode(self.png(image[None])).decode()
        return f"data:image/png;base64,{encoded}"

    def _accepted_shapes(self) -> list[Shape]:
        """Return the shapes in which clients may give the numbers of an image."""
        grey = [(self.height, self.width)] if self.channels == 1 else []
        return [self.shape, *grey, (math.prod(self.shape),)]

    def _check_options(self, options: PictureOptions, values: list[Any]) -> None:
        """Raise InvalidItems if an option cannot have its effect on all of these items."""
        if options.centre and self.style.ink_box is None:
            reason = "this is for models of drawings whose ink is centred by its mass, and this model's images are not"
            raise InvalidItems(Problem(reason, parameter="centre"))
        if options.centre and options.fit:
            raise InvalidItems(Problem("fit and centre exclude each other", parameter="fit"))
        numbers = next((i for i, value in enumerate(values) if not isinstance(value, _ENCODED)), None)
        for name in options.given():
            if name != "fit" and numbers is not None:
                detail = f"this is for encoded images, and item {numbers} is not one"
                raise InvalidItems(Problem(detail, parameter=name))

    def _decode_numbers(self, values: object, max_items: int, *, gaps: bool) -> Arrays:
        """Return one item or several that are numbers, in the shape of an image."""
        if not isinstance(values, np.ndarray):
            return batch_from_json(values, self._accepted_shapes(), max_items=max_items, gaps=gaps)
        batch = batch_from_array(values, self._accepted_shapes(), max_items=max_items)
        return batch.astype(np.float32) / 255 if batch.dtype == np.uint8 else batch

    def _item_from_numbers(self, value: object, *, gaps: bool) -> NDArray[Any]:
        """Return an item that is numbers, and stands among encoded images."""
        return item_from_json(value, self._accepted_shapes(), gaps=gaps)

    def _to_tensors(self, arrays: Arrays, *, gaps: bool) -> list[Tensor]:
        """Return items in float32, all of whose values must be in [0, 1] or, with `gaps`, NaN."""
        batch = arrays if isinstance(arrays, np.ndarray) else np.stack(arrays)
        check_range(batch, *self.value_range, gaps=gaps)
        return [torch.from_numpy(item) for item in batch.astype(np.float32, order="C")]

    def _decode_each(
        self, items: list[Any], options: PictureOptions, warn: Warn, *, gaps: bool
    ) -> list[NDArray[np.float64]]:
        """Return items of `read_pictures` as arrays `[C, H, W]`. If one is refused, no image is decoded."""
        batch: list[NDArray[Any]] = []
        problems: list[Problem] = []
        error_type: type[InvalidItems] = InvalidItems
        form = self.form(options)
        is_refused = any(isinstance(item, InvalidItems) for item in items)
        for i, item in enumerate(items):
            stop_if_abandoned()
            try:
                if isinstance(item, InvalidItems):
                    raise item
                if isinstance(item, (EncodedPicture, DecodedPicture)):
                    if not is_refused:
                        picture = decode_picture(item, form) if isinstance(item, EncodedPicture) else item
                        batch.append(picture.pixels / 255)
                        for detail in picture.warnings:
                            warn(Problem(detail, i))
                else:
                    batch.append(self._item_from_numbers(item, gaps=gaps))
            except InvalidItems as error:
                problems += [Problem(problem.detail, i, problem.parameter) for problem in error.problems]
                error_type = type(error)
        if problems:
            raise error_type(*limit_problems(problems))
        return batch


def _has_encoded(values: list[Any]) -> bool:
    """Return whether there is an encoded image among the items. A list of numbers is a single item, and has none."""
    return type(values[0]) not in (int, float) and any(isinstance(value, _ENCODED) for value in values)


def _bytes_of(value: str | bytes) -> bytes:
    try:
        return bytes_of_string(value) if isinstance(value, str) else value
    except ValueError as error:
        detail = f"the string is neither base64 nor a data: URL of an image: {error}"
        raise UndecodableItems(Problem(detail)) from None
