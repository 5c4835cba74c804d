"""What the header of a picture tells before any of it is decoded: its size, and what decoding it costs.

Sources: PNG (ISO/IEC 15948), JPEG (ITU-T T.81, annex B), WebP (RFC 9649). The cost is what Pillow needs, and an upper
bound rather than a mean, because whoever sends a picture can choose the worst of its kind.
"""

from dataclasses import dataclass
from typing import Literal

from models.errors import InvalidItems, Problem, UndecodableItems

Format = Literal["PNG", "JPEG", "WEBP"]
FORMATS: tuple[Format, ...] = ("PNG", "JPEG", "WEBP")
MAX_SIDE = 65_535
"""Most pixels of a side, which is the limit of JPEG. Rows of few pixels take a multiple of their memory and time."""
MAX_PARTS = 2**15
"""Most chunks or segments of a file. Each of them takes a few microseconds, be it as small as it may."""
MAX_EXIF_BYTES = 2**20
ROW_BYTES = 16
"""Memory in bytes that Pillow needs for a row, besides its pixels."""
WORKING_BYTES_PER_PIXEL = 6
"""Memory for a pixel, in bytes, of the copies that are made of a decoded picture: in RGB, turned, and its opacity."""
WORKING_US_PER_PIXEL = 0.012
"""Time for a pixel, in microseconds, from a decoded picture to one of the model's size."""
FIXED_US = 150
"""Time for the smallest picture, in microseconds."""
EXIF_ENTRY_BYTES = 160
"""Memory for an entry of EXIF data, in bytes."""
EXIF_ENTRY_US = 10
"""Time for an entry of EXIF data, in microseconds."""
FIXED_BYTES = 2**22
"""Memory for the smallest picture, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureHeader:
    """The header of a picture.

    Attributes:
        width: number of columns as stored, before the picture is turned as its EXIF data say.
        height: number of rows as stored.
        n_bytes: about the most memory, in bytes, that decoding takes, besides the file.
        work: about the processor time, in microseconds, that decoding takes.
    """

    format: Format
    width: int
    height: int
    n_bytes: int
    work: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What decoding takes, besides what all pictures of this size do.

    Attributes:
        pixel_bytes: memory for a pixel, in bytes.
        pixel_us: time for a pixel, in microseconds.
        row_us: time for a row, in microseconds.
        file_us: time for a byte of the file, in microseconds.
        other_bytes: memory for all else, in bytes.
        other_us: time for all else, in microseconds.
    """

    pixel_bytes: float
    pixel_us: float
    row_us: float = 0.0
    file_us: float
    other_bytes: int = 0
    other_us: float = 0.0


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check the size that a header declares.

    Raises:
        UndecodableItems: a side has no pixel.
        InvalidItems: there are more than `max_pixels` pixels, or more than `MAX_SIDE` on a side.
    """
    if not (width and height):
        raise unreadable()
    size = f"{width} x {height}"
    if width * height > max_pixels:
        raise InvalidItems(
            Problem(f"the image has {size} pixels; {max_pixels} are left of what a request may bring (max_pixels)")
        )
    if max(width, height) > MAX_SIDE:
        raise InvalidItems(Problem(f"the image has {size} pixels; a side has at most {MAX_SIDE}, whatever the format"))


def build_header(kind: Format, width: int, height: int, n_file_bytes: int, cost: Cost) -> PictureHeader:
    """Return the header of a picture of so many pixels, in a file of so many bytes, whose cost is known."""
    n_pixels = width * height
    n_bytes = n_pixels * (cost.pixel_bytes + WORKING_BYTES_PER_PIXEL) + height * ROW_BYTES * 2
    us = n_pixels * (cost.pixel_us + WORKING_US_PER_PIXEL) + height * cost.row_us + n_file_bytes * cost.file_us
    return PictureHeader(
        format=kind,
        width=width,
        height=height,
        n_bytes=int(n_bytes) + cost.other_bytes + FIXED_BYTES,
        work=int(us + cost.other_us) + FIXED_US,
    )


def unreadable() -> UndecodableItems:
    """Return the error for bytes that are not a picture."""
    return UndecodableItems(Problem(f"the bytes are not a readable image; accepted are {', '.join(FORMATS)}"))


def check_n_parts(n_parts: int, name: str) -> None:
    """Raise InvalidItems if a file has more than `MAX_PARTS` parts, which `name` is the plural of."""
    if n_parts > MAX_PARTS:
        raise InvalidItems(Problem(f"the image file has more than {MAX_PARTS} {name}, the limit"))
