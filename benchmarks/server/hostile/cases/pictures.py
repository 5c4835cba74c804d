"""Small files of pictures that are large, slow to decode, or no pictures."""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial

from PIL import Image

from benchmarks.server.hostile.cases import sends
from benchmarks.server.hostile.visitor import json_request
from benchmarks.server.http_client import http_request

SIDE = 8192
"""Pixels a side of the largest square that a request may have by default."""
RECONSTRUCT = "/reconstruct?model=vanilla-ae-mnist"
N_SCANS = 400
"""Scans of the progressive JPEG; each is decoded over the whole picture."""
GREY, RGBA = 0, 6  # colour types of PNG
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps, of the seven passes of an interlaced PNG."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _row_lengths(width: int, height: int, bytes_a_pixel: int, is_interlaced: bool) -> Iterator[int]:
    """Yield the number of bytes of each row in the order of the file, with the byte of the filter."""
    for column, row, column_step, row_step in ADAM7 if is_interlaced else ((0, 0, 1, 1),):
        n_columns = (width - column + column_step - 1) // column_step
        for _ in range(row, height, row_step):
            yield 1 + n_columns * bytes_a_pixel


def png(
    width: int,
    height: int,
    *,
    colour: int = GREY,
    depth: int = 8,
    is_interlaced: bool = False,
    pixels: bool = True,
    extra: bytes = b"",
) -> bytes:
    """Return a black PNG; without pixels, it has only ten bytes of them. `extra` chunks come before the pixels."""
    bytes_a_pixel = depth // 8 * (4 if colour == RGBA else 1)
    compressor = zlib.compressobj(9)
    rows = _row_lengths(width, height, bytes_a_pixel, is_interlaced) if pixels else [10]
    data = b"".join(compressor.compress(bytes(n)) for n in rows) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(is_interlaced))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


@cache
def picture(kind: str, width: int = SIDE, height: int = SIDE, mode: str = "L", **options: object) -> bytes:
    """Return a black picture as Pillow writes it."""
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind, **options)
    return file.getvalue()


def jpeg_with_scans(side: int, n_scans: int) -> bytes:
    """Return a progressive JPEG whose last scan, which refines coefficients, is there many times."""
    data = picture("JPEG", side, side, progressive=True, quality=95)
    start = data.rindex(b"\xff\xda")
    tables = data.rfind(b"\xff\xc4", 0, start)  # the Huffman table of the last scan
    last_scan = data[tables if tables > data.rfind(b"\xff\xda", 0, start) else start : -2]
    return data[:-2] + last_scan * (n_scans - 1) + data[-2:]


def noisy_webp(side: int) -> bytes:
    """Return a lossless WebP of noise in few colours, which takes longer to decode than an even one."""
    tile = Image.effect_noise((256, 256), 90).quantize(4).convert("RGB")
    image = Image.new("RGB", (side, side))
    for column in range(0, side, 256):
        for row in range(0, side, 256):
            image.paste(tile.rotate(90 * ((column ^ row) // 256 % 4)), (column, row))
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()


def _posted(make: Callable[[], bytes], content_type: str, path: str = RECONSTRUCT) -> Callable[[], bytes]:
    return lambda: http_request(path, make(), {"content-type": content_type})


def _as_data_urls() -> bytes:
    url = "data:image/png;base64," + base64.b64encode(png(2048, 2048)).decode()
    return json_request("/reconstruct", {"model": "vanilla-ae-mnist", "inputs": [url] * 16})


def _compressed_text(n_bytes: int) -> bytes:
    """Return chunks of PNG whose text and colour profile expand to many bytes."""
    expanded = zlib.compress(bytes(n_bytes), 9)
    return _chunk(b"zTXt", b"comment\0\0" + expanded) + _chunk(b"iCCP", b"profile\0\0" + expanded)


def _in_parts() -> bytes:
    body = b"".join(
        b'--bbb\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + png(2048, 2048) + b"\r\n"
        for _ in range(16)
    )
    return http_request(RECONSTRUCT, body + b"--bbb--\r\n", {"content-type": "multipart/form-data; boundary=bbb"})


EXTREMES = ((10_000, 1), (1, 10_000), (2**26, 1), (1, 2**26), (60_000, 1000), (2**16 - 1, 1024))
GREY_16, FOUR_CHANNELS = (
    _posted(lambda: png(SIDE, SIDE, depth=16), "image/png"),
    _posted(lambda: png(SIDE, SIDE, colour=RGBA), "image/png"),
)
CASES = (
    sends("png-grey16", GREY_16),
    sends("png-grey16-4", GREY_16, at_once=4),
    sends("png-rgba", FOUR_CHANNELS),
    sends("png-rgba-4", FOUR_CHANNELS, at_once=4),
    sends("png-rgba-8-twice", FOUR_CHANNELS, at_once=8, in_a_row=2),
    sends("png-interlaced", _posted(lambda: png(SIDE, SIDE, is_interlaced=True), "image/png")),
    sends("png-over-limit", _posted(lambda: picture("PNG", SIDE + 1, SIDE + 1), "image/png")),
    sends("png-claims-2-31", _posted(lambda: png(2**31 - 1, 2**31 - 1, pixels=False), "image/png")),
    sends("png-claims-8192", _posted(lambda: png(SIDE, SIDE, pixels=False), "image/png"), at_once=16),
    sends("png-compressed-text", _posted(lambda: png(28, 28, extra=_compressed_text(2**28)), "image/png"), at_once=4),
    sends("png-many-chunks", _posted(lambda: png(28, 28, extra=_chunk(b"teSt", b"") * 500_000), "image/png")),
    sends("jpeg-8192", _posted(lambda: picture("JPEG"), "image/jpeg"), at_once=4),
    sends("jpeg-progressive", _posted(lambda: picture("JPEG", progressive=True), "image/jpeg"), at_once=4),
    sends("jpeg-many-scans", _posted(lambda: jpeg_with_scans(2048, N_SCANS), "image/jpeg"), at_once=4),
    sends("webp-lossless", _posted(lambda: picture("WEBP", lossless=True), "image/webp"), at_once=4),
    sends("webp-noise", _posted(lambda: noisy_webp(SIDE), "image/webp"), at_once=2),
    sends("webp-lossy", _posted(lambda: picture("WEBP", quality=1), "image/webp"), at_once=4),
    sends("gif-as-png", _posted(lambda: picture("GIF", 64, 64), "image/png")),
    sends("data-urls", _as_data_urls, at_once=4),
    sends("pictures-in-parts", _in_parts, at_once=4),
    sends(
        "extreme-aspects",
        *(
            _posted(partial(png, width, height), "image/png", f"{RECONSTRUCT}&fit={fit}")
            for width, height in EXTREMES
            for fit in ("contain", "cover", "stretch")
        ),
    ),
)
