"""Images: numbers in [0, 1], or PNG, JPEG and WebP files, as tensors `[C, H, W]` and back.

Shapes: `C` channels, `H` height, `W` width.
"""

import base64
import binascii
import io
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from models.codecs.arrays import (
    MAX_PROBLEMS,
    ArrayCodec,
    Limits,
    Shape,
    batch_from_array,
    batch_from_json,
    check_count,
    check_range,
    limit_problems,
)
from models.errors import InvalidItems, Problem, UndecodableItems

Fit = Literal["contain", "cover", "stretch"]
FORMATS = ("PNG", "JPEG", "WEBP")
GRID_GAP_PX = 2

Image.MAX_IMAGE_PIXELS = None  # `Limits.max_pixels` is the limit here; Pillow's own only warns

_RESIZE: dict[Fit, Callable[..., Image.Image]] = {
    "contain": ImageOps.pad,
    "cover": ImageOps.fit,
    "stretch": Image.Image.resize,
}
_PILLOW_ERRORS = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
)


@dataclass(frozen=True, slots=True)
class ImageCodec(ArrayCodec):
    """The codec of images with 1 (grey) or 3 (RGB) channels. Values are in [0, 1]; 0 is black."""

    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    stored_bits: ClassVar[int] = 8

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> Shape:
        """Return the shape of an image, `(C, H, W)`."""
        return (self.channels, self.height, self.width)

    def decode(self, values: object, limits: Limits, *, fit: Fit = "contain", gaps: bool = False) -> list[Tensor]:
        """Return one item or several as float32 tensors `[C, H, W]` in [0, 1].

        `values` are JSON numbers, nested or flat; an array, in which uint8 counts from 0 to 255; or encoded images, as
        bytes or as strings in base64 with or without `data:` before it. `fit` says how encoded images of another size
        are resized. With `gaps`, null among JSON numbers is allowed and becomes NaN.

        Raises:
            InvalidItems: a type, a shape, a value or the number of items is wrong.
            UndecodableItems: a string is not base64, or bytes are not an image.
        """
        if isinstance(values, (str, bytes)):
            values = [values]
        if isinstance(values, list) and any(isinstance(value, (str, bytes)) for value in values[:MAX_PROBLEMS]):
            check_count(len(values), limits.max_items)
            batch: NDArray[Any] = self._decode_each(values, limits.max_pixels, fit, gaps=gaps)
        elif isinstance(values, np.ndarray):
            batch = batch_from_array(values, self._accepted_shapes(), max_items=limits.max_items)
        else:
            batch = batch_from_json(values, self._accepted_shapes(), max_items=limits.max_items, gaps=gaps)
        if batch.dtype == np.uint8:
            batch = batch.astype(np.float32) / 255
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

    def _decode_each(self, values: list[Any], max_pixels: int, fit: Fit, *, gaps: bool) -> NDArray[np.float64]:
        """Return items, some of which are encoded images, as a batch `[n, C, H, W]`."""
        batch: list[NDArray[Any]] = []
        problems: list[Problem] = []
        error_type: type[InvalidItems] = InvalidItems
        for i, value in enumerate(values):
            try:
                if isinstance(value, (str, bytes)):
                    image = _open_image(_decode_base64(value) if isinstance(value, str) else value, max_pixels)
                    max_pixels -= math.prod(image.size)
                    batch.append(self._to_pixels(image, fit))
                else:
                    batch.append(batch_from_json(value, self._accepted_shapes(), max_items=1, gaps=gaps)[0])
            except InvalidItems as error:
                problems += [Problem(problem.detail, i) for problem in error.problems]
                error_type = type(error)
        if problems:
            raise error_type(*limit_problems(problems))
        return np.stack(batch)

    def _to_pixels(self, image: Image.Image, fit: Fit) -> NDArray[np.float64]:
        """Return an image of any size and mode as `[C, H, W]` in [0, 1]."""
        image = _to_8_bits_upright(image).convert("L" if self.channels == 1 else "RGB")
        size = (self.width, self.height)
        if image.size != size:
            image = _RESIZE[fit](image, size, Image.Resampling.LANCZOS)
        pixels: NDArray[np.float64] = np.asarray(image, dtype=np.float64) / 255
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def _decode_base64(value: str) -> bytes:
    encoded = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UndecodableItems(Problem("the string is neither base64 nor a data: URL of an image")) from None


def _open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Decode an image, after checking that its header declares at most `max_pixels`."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if math.prod(image.size) > max_pixels:
            width, height = image.size
            detail = f"the image has {width} x {height} pixels; {max_pixels} are left of what a request may bring"
            raise InvalidItems(Problem(detail))
        image.load()
    except _PILLOW_ERRORS:
        raise UndecodableItems(
            Problem(f"the bytes are not a readable image; accepted are {', '.join(FORMATS)}")
        ) from None
    return image


def _to_8_bits_upright(image: Image.Image) -> Image.Image:
    """Rotate an image as its EXIF says, if readable; scale 16-bit greys to 8 bits; put transparency over black."""
    with suppress(Exception):  # damaged EXIF makes Pillow raise errors of many types
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray(np.rint(np.asarray(image, dtype=np.float64) / 257).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
    return image
