"""The header of WebP files."""

import struct

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

WEBP_SIGNATURE = b"RIFF"
_CHUNK_HEAD = struct.Struct("<4sI")
_CHUNK_US = 1.0


def read_webp(data: bytes, max_pixels: int) -> PictureHeader:
    """Return the header of a WebP file; its size is that of the canvas, on which all frames lie.

    Raises:
        UndecodableItems: the file is damaged.
        InvalidItems: a limit is exceeded.
    """
    if data[8:12] != b"WEBP" or len(data) < 30:
        raise unreadable()
    width, height = _canvas(data)
    check_size(width, height, max_pixels)
    place, n_parts, n_exif_entries = 12, 0, 0
    while place + _CHUNK_HEAD.size <= len(data):
        kind, length = _CHUNK_HEAD.unpack_from(data, place)
        n_parts += 1
        check_n_parts(n_parts, "chunks")
        if kind == b"EXIF":
            n_exif_entries += check_exif(data[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    cost = Cost(
        pixel_bytes=11,
        pixel_us=0.025,
        file_us=0.03,
        other_bytes=2 * len(data) + n_exif_entries * EXIF_ENTRY_BYTES,
        other_us=n_parts * _CHUNK_US + n_exif_entries * EXIF_ENTRY_US,
    )
    return build_header("WEBP", width, height, len(data), cost)


def _canvas(data: bytes) -> tuple[int, int]:
    """Return the width and the height of the canvas."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise unreadable()
