"""Opening a file: a picture of 8 bits a channel, upright, and its opacity."""

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from models.errors import InvalidItems
from models.pictures.bands import bands
from models.pictures.exif import check_exif
from models.pictures.header import FORMATS, PictureHeader, unreadable
from models.pictures.png import PNG_SIGNATURE

ANIMATED_FORMATS = ("PNG", "WEBP")
OPAQUE = 255
_PNG_DEPTH_OFFSET = 24
"""Position in a PNG of the number of bits of a sample."""
_TURNED = range(2, 9)
"""Values of EXIF's orientation with which a picture is not stored upright."""
_RAW_EXIF = "Raw profile type exif"
"""Name of a text of PNG files that holds EXIF data in hexadecimal."""

warnings.filterwarnings("ignore", module=r"PIL\.")  # what they say of a damaged file would be kept for ever
Image.MAX_IMAGE_PIXELS = None  # `Limits.max_pixels` is the limit here; Pillow's own only warns


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of 8 bits a channel, in the mode `L` or `RGB`. The functions that place it may change its pixels.

    Attributes:
        image: the picture without its transparency.
        alpha: the opacity of each pixel, from 0 to 255, in the mode `L`; None if all are opaque.
        n_frames: number of frames of the file, of which this is the first.
    """

    image: Image.Image
    alpha: Image.Image | None
    n_frames: int


def open_picture(data: bytes, header: PictureHeader, mode: str) -> Picture:
    """Decode a file, upright as its EXIF says.

    Args:
        data: the file.
        header: its header, which has been checked.
        mode: `L` or `RGB`.

    Raises:
        UndecodableItems: the file is damaged.
        InvalidItems: decoding it would take too long for its size.
        MemoryError: there is too little memory.
    """
    image = _load(data, header)
    n_frames = getattr(image, "n_frames", 1) if image.format in ANIMATED_FORMATS else 1
    depth = data[_PNG_DEPTH_OFFSET] if data.startswith(PNG_SIGNATURE) else 8
    image = _upright(image)
    alpha = _alpha(image, depth)
    return Picture(_to_8_bits(image).convert(mode), alpha, n_frames)


def _load(data: bytes, header: PictureHeader) -> Image.Image:
    """Return the decoded image.

    Raises:
        UndecodableItems, InvalidItems, MemoryError: as `open_picture` says.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.size != (header.width, header.height):
            raise unreadable()
        text = image.info.get(_RAW_EXIF)
        if isinstance(text, str):
            check_exif(bytes(len(text) // 2))  # what it says is not read before its length is known
            with suppress(ValueError):
                check_exif(bytes.fromhex("".join(text.split("\n")[3:])))
        image.load()
    except (InvalidItems, MemoryError):
        raise
    except Exception:  # Pillow raises errors of many types for damaged files
        raise unreadable() from None
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF data say; they are ignored if they are damaged."""
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
        return ImageOps.exif_transpose(image) if is_turned else image
    except MemoryError:
        raise
    except Exception:  # damaged EXIF makes Pillow raise errors of many types
        return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    grey = Image.new("L", image.size)
    for box, band in bands(image):
        levels = np.rint(np.asarray(band, dtype=np.float64) / 257).astype(np.uint8)
        grey.paste(Image.fromarray(levels), box)
    return grey


def _alpha(image: Image.Image, depth: int) -> Image.Image | None:
    """Return the opacity of each pixel; None if the file has no transparency.

    A file has it as a channel, as a list for the colours of a palette, or as one colour that is transparent.
    """
    if "A" in image.getbands():
        return image.getchannel("A")
    key: Any = image.info.get("transparency")
    if key is None:
        return None
    alpha = Image.new("L", image.size)
    for box, band in bands(image):
        if band.mode == "P":
            alpha.paste(band.convert("RGBA").getchannel("A"), box)
        else:
            alpha.paste(Image.fromarray(_opacity(band, key, depth)), box)
    return alpha


def _opacity(image: Image.Image, key: Any, depth: int) -> NDArray[np.uint8]:
    """Return the opacity `[H, W]` of an image in which the colour `key` is transparent.

    The colour is in samples of `depth` bits, and Pillow compares it wrongly unless these are 8. Of colours of 16 bits,
    Pillow keeps the upper 8, and those are compared.
    """
    pixels = np.asarray(image)
    if image.mode == "1":
        is_transparent = pixels == bool(key)
    elif image.mode == "RGB":
        red, green, blue = (level // (256 if depth == 16 else 1) for level in key)
        is_transparent = (pixels[..., 0] == red) & (pixels[..., 1] == green) & (pixels[..., 2] == blue)
    else:
        is_transparent = pixels == key * (OPAQUE // (2**depth - 1) if depth < 8 else 1)
    return np.where(is_transparent, 0, OPAQUE).astype(np.uint8)
