"""The header of PNG files."""

import struct
from dataclasses import dataclass

from models.errors import Problem, UndecodableItems
from models.pictures.exif import check_exif
from models.pictures.header import (
    EXIF_ENTRY_BYTES,
    EXIF_ENTRY_US,
    Cost,
    PictureHeader,
    build_header,
    check_n_parts,
    check_size,
    unreadable,
)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Number of samples of a pixel, by the colour type."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Numbers of bits that a sample may have, by the colour type."""
_IMAGE_DATA = (b"IDAT", b"fdAT", b"DDAT")
"""Types of chunks whose data Pillow takes for those of the picture."""
_COMPRESSED_TEXT = (b"zTXt", b"iTXt", b"iCCP")
"""Types of chunks that Pillow decompresses, up to a megabyte each."""
_MAX_DEFLATE_RATIO = 1032
"""Largest number of bytes that one byte of deflated data can stand for."""
_MAX_TEXTS = 64
"""Number of texts of a megabyte each from which on Pillow refuses a file."""
_CHUNK_US, _TEXT_US = 8.0, 1500.0
_KEY_US = {0: 0.02, 2: 0.06, 3: 0.02, 4: 0.0, 6: 0.0}
"""Time for a pixel, in microseconds, to compare it with the transparent colours, by the colour type."""
_CHUNK_HEAD = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBBBB")


@dataclass(slots=True)
class _Contents:
    """What the chunks of a file hold.

    Attributes:
        fields: the fields of the header; None if there is no header.
        n_image_bytes: size of the compressed pixels, in bytes.
        has_key: whether a colour, or some of a palette, are transparent.
    """

    fields: tuple[int, ...] | None = None
    n_parts: int = 0
    n_texts: int = 0
    n_image_bytes: int = 0
    n_exif_entries: int = 0
    has_key: bool = False


def read_png(data: bytes, max_pixels: int) -> PictureHeader:
    """Return the header of a PNG file. All chunks are looked at, because each takes time.

    Raises:
        UndecodableItems: the file is damaged, or too short for its size.
        InvalidItems: a limit is exceeded.
    """
    found = _read_chunks(data)
    if found.fields is None:
        raise unreadable()
    width, height, depth, colour_type, _, _, is_interlaced = found.fields
    check_size(width, height, max_pixels)
    if depth not in _DEPTHS.get(colour_type, ()):
        raise unreadable()
    row_bytes = 1 + (width * depth * _CHANNELS[colour_type] + 7) // 8
    n_image_bytes = min(found.n_image_bytes, len(data))
    if n_image_bytes * _MAX_DEFLATE_RATIO < row_bytes * height:
        raise UndecodableItems(
            Problem(f"the image has {width} x {height} pixels, which its {n_image_bytes} bytes of data cannot hold")
        )
    n_texts = min(found.n_texts, _MAX_TEXTS)
    cost = Cost(
        pixel_bytes=_stored_bytes(colour_type, depth),
        pixel_us=0.0025 * row_bytes / width + 0.003 * bool(is_interlaced) + found.has_key * _KEY_US[colour_type],
        row_us=0.1 + 0.1 * bool(is_interlaced),
        file_us=0.015,
        other_bytes=n_texts * 2**20 + found.n_exif_entries * EXIF_ENTRY_BYTES,
        other_us=found.n_parts * _CHUNK_US + n_texts * _TEXT_US + found.n_exif_entries * EXIF_ENTRY_US,
    )
    return build_header("PNG", width, height, len(data), cost)


def _read_chunks(data: bytes) -> _Contents:
    """Return what the chunks hold, up to the end of the picture or of the file.

    Raises:
        InvalidItems: there are too many, or too large ones.
    """
    found = _Contents()
    place = len(PNG_SIGNATURE)
    while place + _CHUNK_HEAD.size <= len(data):
        length, kind = _CHUNK_HEAD.unpack_from(data, place)
        found.n_parts += 1
        check_n_parts(found.n_parts, "chunks")
        if kind in _IMAGE_DATA:
            found.n_image_bytes += length
        elif kind == b"IHDR" and not found.n_image_bytes and place + 8 + _IHDR.size <= len(data):
            found.fields = _IHDR.unpack_from(data, place + 8)
        elif kind == b"eXIf":
            found.n_exif_entries += check_exif(data[place + 8 : place + 8 + length])
        elif kind in _COMPRESSED_TEXT:
            found.n_texts += 1
        elif kind == b"tRNS":
            found.has_key = True
        elif kind == b"IEND":
            break
        place += 12 + length
    return found


def _stored_bytes(colour_type: int, depth: int) -> int:
    """Return the memory of a decoded pixel in Pillow's modes, in bytes."""
    if colour_type == 0 and depth == 16:
        return 2
    return 1 if colour_type in (0, 3) else 4
