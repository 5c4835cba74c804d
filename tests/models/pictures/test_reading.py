"""Headers of pictures: the size that they tell, and what is refused before anything is decoded."""

import io
import random
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InvalidItems, UndecodableItems
from models.pictures.header import MAX_EXIF_BYTES, MAX_PARTS, MAX_SIDE
from models.pictures.jpeg import MAX_SCANS
from models.pictures.reading import estimate_picture, read_header
from tests.models.codecs.test_image import file_of
from tests.models.pictures.files import exif_of, png_chunk, raw_png, with_more_scans

MAX_PIXELS = 2**26
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *(("JPEG", mode, {"progressive": is_progressive}) for mode in ("L", "RGB", "CMYK") for is_progressive in (0, 1)),
    *(("WEBP", mode, {"lossless": is_lossless}) for mode in ("RGB", "RGBA") for is_lossless in (False, True)),
]


@pytest.mark.parametrize(("kind", "mode", "options"), KINDS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 70), (65, 2)])
def test_the_size_is_that_of_the_picture(
    kind: str, mode: str, options: dict[str, Any], width: int, height: int
) -> None:
    data = file_of(Image.new(mode, (width, height)), kind, **options)
    header = read_header(data, MAX_PIXELS)
    assert (header.format, header.width, header.height) == (kind, width, height)
    assert estimate_picture(data, MAX_PIXELS) == (header.n_bytes, header.work)
    assert header.n_bytes > 4 * width * height


def test_an_animation_has_the_size_of_its_canvas() -> None:
    frames = [Image.new("RGB", (40, 30), (level, 0, 0)) for level in (9, 99)]
    data = file_of(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    header = read_header(data, MAX_PIXELS)
    assert (header.width, header.height) == (40, 30)


def test_the_estimate_grows_with_the_scans() -> None:
    jpeg = file_of(Image.new("L", (640, 640)), "JPEG", progressive=True)
    few, many = (read_header(with_more_scans(jpeg, n), MAX_PIXELS) for n in (0, 9))
    assert few.n_bytes == many.n_bytes
    assert few.work < many.work


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    jpeg = file_of(Image.new("L", (64, 64)), "JPEG", progressive=True)
    n_scans = jpeg.count(b"\xff\xda")
    read_header(with_more_scans(jpeg, MAX_SCANS - n_scans), MAX_PIXELS)
    with pytest.raises(InvalidItems, match=f"the image has more than {MAX_SCANS} scans"):
        read_header(with_more_scans(jpeg, MAX_SCANS - n_scans + 1), MAX_PIXELS)


def test_markers_in_comments_and_after_the_end_are_no_scans() -> None:
    jpeg = file_of(Image.new("L", (64, 64)), "JPEG", progressive=True)
    trick = b"\xff\xda\xff\xd9" * 99
    comment = b"\xff\xfe" + struct.pack(">H", len(trick) + 2) + trick
    start = jpeg.rfind(b"\xff\xc4", 0, jpeg.rfind(b"\xff\xda"))
    within = jpeg[:start] + comment + jpeg[start:]
    assert Image.open(io.BytesIO(within)).convert("L").getextrema() == (0, 0)
    for data in (jpeg[:2] + comment + jpeg[2:], within, jpeg + jpeg * MAX_SCANS):
        assert read_header(data, MAX_PIXELS).width == 64
    hidden = with_more_scans(within, MAX_SCANS)
    with pytest.raises(InvalidItems, match="scans"):
        read_header(hidden, MAX_PIXELS)


def test_scans_are_found_wherever_a_window_of_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    jpeg = file_of(Image.fromarray(pixels), "JPEG", progressive=True)
    for size in range(2, 40):
        monkeypatch.setattr("models.pictures.jpeg._WINDOW_BYTES", size)
        with pytest.raises(InvalidItems, match="scans"):
            read_header(with_more_scans(jpeg, MAX_SCANS), MAX_PIXELS)


@pytest.mark.parametrize(("width", "height"), [(MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (67_108_864, 1), (1, 67_108_864)])
def test_a_side_has_a_limit(width: int, height: int) -> None:
    with pytest.raises(InvalidItems, match=f"the image has {width} x {height} pixels; a side has at most {MAX_SIDE}"):
        read_header(raw_png(width, height, data=b""), MAX_PIXELS)


def test_more_pixels_than_the_limit_are_refused() -> None:
    with pytest.raises(InvalidItems, match=r"the image has 8193 x 8192 pixels; 67108864 are left .*\(max_pixels\)"):
        read_header(raw_png(8193, 8192, data=b""), MAX_PIXELS)


def test_pixels_that_the_file_cannot_hold_are_refused() -> None:
    with pytest.raises(UndecodableItems, match="the image has 8192 x 8192 pixels, which its 10 bytes of data cannot"):
        read_header(raw_png(8192, 8192, data=bytes(10)), MAX_PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        raw_png(4, 4, extra=png_chunk(b"abCd", b"") * MAX_PARTS),
        file_of(Image.new("L", (4, 4)), "JPEG").replace(b"\xff\xd8", b"\xff\xd8" + b"\xff\xfe\0\2" * MAX_PARTS, 1),
        file_of(Image.new("L", (4, 4)), "WEBP") + b"abcd\0\0\0\0" * MAX_PARTS,
    ],
    ids=["PNG", "JPEG", "WEBP"],
)
def test_files_of_too_many_parts_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidItems, match=rf"the image file has more than {MAX_PARTS} (chunks|segments), the limit"):
        read_header(data, MAX_PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_data_that_lie_about_their_length_are_refused(kind: str) -> None:
    image = Image.new("RGB", (4, 4))
    honest, lying = (file_of(image, kind, exif=b"Exif\0\0" + exif_of(2000, n_bytes)) for n_bytes in (4, 2**14))
    assert read_header(honest, MAX_PIXELS).work > read_header(file_of(image, kind), MAX_PIXELS).work
    with pytest.raises(
        InvalidItems, match=r"the EXIF data of the image have 2401\d bytes, and their entries say 32768000"
    ):
        read_header(lying, MAX_PIXELS)


def test_long_exif_data_are_refused() -> None:
    with pytest.raises(InvalidItems, match=f"the limit is {MAX_EXIF_BYTES}"):
        read_header(raw_png(4, 4, extra=png_chunk(b"eXIf", bytes(MAX_EXIF_BYTES + 1))), MAX_PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_headers_of_damaged_files_are_read_or_refused(kind: str) -> None:
    source = random.Random(0)  # for tests
    whole = file_of(Image.new("RGB", (9, 7)), kind)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(source.randrange(4)):
            data[source.randrange(len(data))] = source.randrange(256)
        with suppress(InvalidItems):
            header = read_header(bytes(data[: source.randint(0, len(data))]), MAX_PIXELS)
            assert 0 < header.width * header.height <= MAX_PIXELS
