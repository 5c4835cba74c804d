"""Images: numbers in [0, 1], or PNG, JPEG and WebP files, to tensors `[C, H, W]` and back."""

import base64
import binascii
import io
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from models.codecs.arrays import (
    MAX_PROBLEMS,
    Limits,
    Shape,
    batch_of_array,
    batch_of_numbers,
    check_count,
    check_range,
    limited,
)
from models.errors import InvalidItems, Problem, UndecodableItems

Fit = Literal["contain", "cover", "stretch"]
FORMATS = ("PNG", "JPEG", "WEBP")

Image.MAX_IMAGE_PIXELS = None  # `Limits.max_pixels` is the limit here; Pillow's own only warns

_RESIZE: dict[Fit, Callable[..., Image.Image]] = {
    "contain": ImageOps.pad,
    "cover": ImageOps.fit,
    "stretch": Image.Image.resize,
}
_BROKEN = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError, KeyError)


@dataclass(frozen=True, slots=True)
class ImageCodec:
    """Images of `channels` (1 grey, 3 RGB) by `height` by `width`; values in [0, 1], 0 is black."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> Shape:
        """`(C, H, W)`."""
        return (self.channels, self.height, self.width)

    def decode(self, values: object, limits: Limits, *, fit: Fit = "contain", gaps: bool = False) -> list[Tensor]:
        """One item or several as float32 tensors `[C, H, W]` in [0, 1].

        `values` are JSON numbers, nested or flat; an array (uint8 counts from 0 to 255); or encoded images, as bytes or
        as strings in base64 with or without `data:` before it. Encoded images are resized to the model by `fit`.
        With `gaps`, null among the numbers becomes NaN.

        Raises:
            InvalidItems: wrong type, shape, range or count.
            UndecodableItems: a string is not base64, or bytes are no image.
        """
        if isinstance(values, (str, bytes)):
            values = [values]
        if isinstance(values, list) and any(isinstance(value, (str, bytes)) for value in values[:MAX_PROBLEMS]):
            check_count(len(values), limits.max_items)
            batch: NDArray[Any] = self._decode_mixed(values, limits.max_pixels, fit, gaps=gaps)
        elif isinstance(values, np.ndarray):
            batch = batch_of_array(values, self._shapes(), max_items=limits.max_items)
        else:
            batch = batch_of_numbers(values, self._shapes(), max_items=limits.max_items, gaps=gaps)
        if batch.dtype == np.uint8:
            batch = batch.astype(np.float32) / 255
        check_range(batch, 0.0, 1.0, gaps=gaps)
        return [torch.from_numpy(item) for item in batch.astype(np.float32)]

    def arrange(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """An array of an item's shape as clients see it."""
        return array

    def encode(self, item: NDArray[np.float32]) -> NDArray[np.float32]:
        """As it is."""
        return item

    def png(self, images: NDArray[np.float32]) -> bytes:
        """A PNG of `[n, C, H, W]` in [0, 1]: the image itself, or several as a grid with a gap of two pixels."""
        n_columns = math.ceil(math.sqrt(len(images)))
        gap = 2 if len(images) > 1 else 0
        size = (_extent(n_columns, self.width, gap), _extent(math.ceil(len(images) / n_columns), self.height, gap))
        canvas = Image.new("L" if self.channels == 1 else "RGB", size, "white")
        pixels = np.rint(images.clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)  # (n, H, W, C)
        for i, image in enumerate(pixels):
            row, column = divmod(i, n_columns)
            tile = Image.fromarray(image[..., 0] if self.channels == 1 else np.ascontiguousarray(image))
            canvas.paste(tile, (column * (self.width + gap), row * (self.height + gap)))
        file = io.BytesIO()
        canvas.save(file, "PNG")
        return file.getvalue()

    def data_url(self, image: NDArray[np.float32]) -> str:
        """`[C, H, W]` in [0, 1] as a `data:` URL of a PNG."""
        return "data:image/png;base64," + base64.b64encode(self.png(image[None])).decode()

    def _shapes(self) -> list[Shape]:
        grey = [(self.height, self.width)] if self.channels == 1 else []
        return [self.shape, *grey, (math.prod(self.shape),)]

    def _decode_mixed(self, values: list[Any], max_pixels: int, fit: Fit, *, gaps: bool) -> NDArray[np.float64]:
        """Items of which at least one is an encoded image, as `[n, C, H, W]`."""
        batch: list[NDArray[Any]] = []
        problems: list[Problem] = []
        error: type[InvalidItems] = InvalidItems
        for i, value in enumerate(values):
            try:
                if isinstance(value, (str, bytes)):
                    image = _open(_from_base64(value) if isinstance(value, str) else value, max_pixels)
                    max_pixels -= math.prod(image.size)
                    batch.append(self._pixels(image, fit))
                else:
                    batch.append(batch_of_numbers(value, self._shapes(), max_items=1, gaps=gaps)[0])
            except InvalidItems as refused:
                problems += [Problem(problem.detail, i) for problem in refused.problems]
                error = type(refused)
        if problems:
            raise error(*limited(problems))
        return np.stack(batch)

    def _pixels(self, image: Image.Image, fit: Fit) -> NDArray[np.float64]:
        """An image of any size and mode as `[C, H, W]` in [0, 1]."""
        image = _upright(image).convert("L" if self.channels == 1 else "RGB")
        size = (self.width, self.height)
        if image.size != size:
            image = _RESIZE[fit](image, size, Image.Resampling.LANCZOS)
        pixels: NDArray[np.float64] = np.asarray(image, dtype=np.float64) / 255
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def _extent(n_tiles: int, side: int, gap: int) -> int:
    return n_tiles * (side + gap) - gap


def _from_base64(value: str) -> bytes:
    encoded = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UndecodableItems(Problem("the string is neither base64 nor a data: URL of an image")) from None


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read an image whose header promises at most `max_pixels`."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if math.prod(image.size) > max_pixels:
            width, height = image.size
            detail = f"the image has {width} x {height} pixels; {max_pixels} are left of what a request may bring"
            raise InvalidItems(Problem(detail))
        image.load()
    except _BROKEN:
        raise UndecodableItems(
            Problem(f"the bytes are not a readable image; accepted are {', '.join(FORMATS)}")
        ) from None
    return image


def _upright(image: Image.Image) -> Image.Image:
    """As its camera held it, where its EXIF can be read; transparency over black, 16-bit greys scaled to 8."""
    with suppress(Exception):  # whatever Pillow stumbles over
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.float64) / 257).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
    return image
