"""Files of pictures that no ordinary program writes."""

import struct
import zlib


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(
    width: int, height: int, *, depth: int = 8, colour_type: int = 0, extra: bytes = b"", data: bytes | None = None
) -> bytes:
    """A PNG of zeros, with `extra` chunks before the compressed pixels, which may be given."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(row * height, 1) if data is None else data
    chunks = (png_chunk(b"IHDR", head), extra, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def with_more_scans(jpeg: bytes, n: int) -> bytes:
    """A progressive JPEG whose last scan is there `n` times more."""
    return jpeg[:-2] + jpeg[jpeg.rfind(b"\xff\xda") : -2] * n + jpeg[-2:]


def exif_of(n_entries: int, n_bytes: int) -> bytes:
    """EXIF data whose entries all say that they have `n_bytes` bytes."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, 1, n_bytes, 0) for i in range(n_entries))
    return b"II*\0" + struct.pack("<IH", 8, n_entries) + entries + bytes(4)
