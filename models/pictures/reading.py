"""Reading the header of a picture in any of the formats."""

from collections.abc import Callable

from models.pictures.header import PictureHeader, unreadable
from models.pictures.jpeg import JPEG_SIGNATURE, read_jpeg
from models.pictures.png import PNG_SIGNATURE, read_png
from models.pictures.webp import WEBP_SIGNATURE, read_webp

_READERS: dict[bytes, Callable[[bytes, int], PictureHeader]] = {
    PNG_SIGNATURE: read_png,
    JPEG_SIGNATURE: read_jpeg,
    WEBP_SIGNATURE: read_webp,
}


def read_header(data: bytes, max_pixels: int) -> PictureHeader:
    """Return the header of a picture, without decoding any of it.

    Raises:
        UndecodableItems: the bytes are not a picture of one of the `FORMATS`.
        InvalidItems: it has more than `max_pixels` pixels, or decoding it would take too long for its size.
    """
    for signature, read in _READERS.items():
        if data.startswith(signature):
            return read(data, max_pixels)
    raise unreadable()


def estimate_picture(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Return about the most memory in bytes, and about the processor time in microseconds, that a picture takes.

    Raises:
        UndecodableItems, InvalidItems: as `read_header` says.
    """
    header = read_header(data, max_pixels)
    return header.n_bytes, header.work
