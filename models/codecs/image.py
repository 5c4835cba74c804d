"""Images: numbers in [0, 1], or PNG, JPEG and WebP files, as tensors `[C, H, W]` and back.

Shapes: `C` channels, `H` height, `W` width.
"""

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

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
from models.codecs.pictures import (
    NO_OPTIONS,
    PHOTOGRAPHS,
    Picture,
    PictureOptions,
    Style,
    centre_ink,
    fit_into,
    open_picture,
    put_on_paper,
    seems_inverted,
)
from models.errors import InvalidItems, Problem, UndecodableItems

GRID_GAP_PX = 2
Warn = Callable[[Problem], None]
"""Receives what a client should know about an item that is accepted all the same."""


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
        bytes or as strings in base64 with or without `data:` before it. `options` are for encoded images. With `gaps`,
        null or NaN stands for a missing number and becomes NaN. `warn` is called with what seems wrong with an image.

        Raises:
            InvalidItems: a type, a shape, a value or the number of items is wrong, or an option is not for these items.
            UndecodableItems: a string is not base64, or bytes are not an image.
        """
        if isinstance(values, (str, bytes)):
            values = [values]
        if type(values) is list and values and _has_encoded(values):
            check_count(len(values), limits.max_items)
            self._check_options(options, values)
            batch: NDArray[Any] = self._decode_each(values, limits.max_pixels, options, warn, gaps=gaps)
        else:
            for name in options.given():
                raise InvalidItems(Problem("this is for encoded images, and the inputs are numbers", parameter=name))
            batch = self._decode_numbers(values, limits.max_items, gaps=gaps)
        check_range(batch, 0.0, 1.0, gaps=gaps)
        return [torch.from_numpy(item) for item in batch.astype(np.float32, order="C")]

    def png(self, images: NDArray[np.float32]) -> bytes:
        """Return a PNG of images `[n, C, H, W]` in [0, 1]: a single one as it is, several as a grid."""
        n_columns = math.ceil(math.sqrt(len(images)))
        n_rows = math.ceil(len(images) / n_columns)
        gap = GRID_GAP_PX if len(images) > 1 else 0
        column_width, row_height = self.width + gap, self.height + gap
        size = (n_columns * column_width - gap, n_rows * row_height - gap)
        canvas = Image.new("L" if self.channels == 1 else "RGB", size, "white")
        pixels = np.rint(images.clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)  # (n, H, W, C)
        for i, image in enumerate(pixels):
            row, column = divmod(i, n_columns)
            tile = Image.fromarray(image[..., 0] if self.channels == 1 else np.ascontiguousarray(image))
            canvas.paste(tile, (column * column_width, row * row_height))
        file = io.BytesIO()
        canvas.save(file, "PNG")
        return file.getvalue()

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
        numbers = next((i for i, value in enumerate(values) if not isinstance(value, (str, bytes))), None)
        for name in options.given():
            if name != "fit" and numbers is not None:
                detail = f"this is for encoded images, and item {numbers} is not one"
                raise InvalidItems(Problem(detail, parameter=name))

    def _decode_numbers(self, values: object, max_items: int, *, gaps: bool) -> NDArray[Any]:
        if not isinstance(values, np.ndarray):
            return batch_from_json(values, self._accepted_shapes(), max_items=max_items, gaps=gaps)
        batch = batch_from_array(values, self._accepted_shapes(), max_items=max_items)
        return batch.astype(np.float32) / 255 if batch.dtype == np.uint8 else batch

    def _decode_each(
        self, values: list[Any], max_pixels: int, options: PictureOptions, warn: Warn, *, gaps: bool
    ) -> NDArray[np.float64]:
        """Return items, some of which are encoded images, as a batch `[n, C, H, W]`."""
        batch: list[NDArray[Any]] = []
        problems: list[Problem] = []
        error_type: type[InvalidItems] = InvalidItems
        for i, value in enumerate(values):
            try:
                if not isinstance(value, (str, bytes)):
                    batch.append(item_from_json(value, self._accepted_shapes(), gaps=gaps))
                    continue
                picture = open_picture(_bytes_of(value), max_pixels, "L" if self.channels == 1 else "RGB")
                max_pixels -= math.prod(picture.image.size)
                batch.append(self._to_pixels(picture, options, i, warn))
            except InvalidItems as error:
                problems += [Problem(problem.detail, i, problem.parameter) for problem in error.problems]
                error_type = type(error)
        if problems:
            raise error_type(*limit_problems(problems))
        return np.stack(batch)

    def _to_pixels(self, picture: Picture, options: PictureOptions, index: int, warn: Warn) -> NDArray[np.float64]:
        """Return the picture of item `index` as `[C, H, W]` in [0, 1]."""
        image = put_on_paper(picture, self.style, invert=options.invert)
        if picture.n_frames > 1:
            warn(Problem(f"the image is animated; of its {picture.n_frames} frames, only the first is read", index))
        if seems_inverted(picture, image, self.style):
            advice = "leave out the parameter invert" if options.invert else "set the parameter invert to true"
            detail = (
                f"the model was trained on images with {self.style.paper} paper, and the paper of this image seems to "
                f"have the colour of the model's ink; if so, {advice}"
            )
            warn(Problem(detail, index))
        size = (self.width, self.height)
        if options.centre and self.style.ink_box is not None:
            image = centre_ink(image, size, self.style, self.style.ink_box)
        else:
            image = fit_into(image, size, options.fit or "contain", self.style.background)
        pixels: NDArray[np.float64] = np.asarray(image, dtype=np.float64) / 255
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _has_encoded(values: list[Any]) -> bool:
    """Return whether there is an encoded image among the items. A list of numbers is a single item, and has none."""
    return type(values[0]) not in (int, float) and any(type(value) in (str, bytes) for value in values)


def _bytes_of(value: str | bytes) -> bytes:
    try:
        return bytes_of_string(value) if isinstance(value, str) else value
    except ValueError as error:
        detail = f"the string is neither base64 nor a data: URL of an image: {error}"
        raise UndecodableItems(Problem(detail)) from None
