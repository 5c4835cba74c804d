import base64
import io
import re
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models.codecs import build_codec
from models.codecs.arrays import Limits
from models.codecs.image import ImageCodec
from models.errors import InvalidItems, UndecodableItems

GREY, COLOUR = ImageCodec(1, 4, 6), ImageCodec(3, 4, 6)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def one(codec: ImageCodec, value: object, **options: Any) -> NDArray[np.float32]:
    (item,) = codec.decode(value, Limits(max_items=9, max_pixels=10_000), **options)
    assert item.dtype == torch.float32
    assert item.shape == codec.shape
    return item.numpy()


def test_png_is_exact_and_channels_come_first() -> None:
    expected = PIXELS.transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_allclose(one(COLOUR, file_of(Image.fromarray(PIXELS))), expected, atol=1e-7)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_format_is_read_as_bytes_base64_and_data_url(kind: str) -> None:
    data = file_of(Image.new("RGB", (6, 4), (255, 255, 255)), kind)
    text = base64.b64encode(data).decode()
    for value in (data, [data], text, [f"data:image/{kind.lower()};base64,{text}"]):
        np.testing.assert_allclose(one(COLOUR, value), 1.0, atol=0.02)


def test_other_formats_are_not_opened() -> None:
    with pytest.raises(UndecodableItems, match="accepted are PNG, JPEG, WEBP"):
        GREY.decode(file_of(Image.new("L", (6, 4)), "BMP"), Limits(max_items=1, max_pixels=10_000))


def test_colours_become_grey_and_grey_becomes_colour() -> None:
    assert one(GREY, file_of(Image.new("RGB", (6, 4), (255, 255, 255)))).min() == 1.0
    np.testing.assert_allclose(one(COLOUR, file_of(Image.new("L", (6, 4), 51))), 0.2, atol=1e-6)


def test_transparency_lies_over_black() -> None:
    assert one(GREY, file_of(Image.new("RGBA", (6, 4), (255, 255, 255, 0)))).max() == 0.0
    palette = Image.new("P", (6, 4), 0)
    palette.putpalette([255, 255, 255])
    assert one(GREY, file_of(palette, transparency=0)).max() == 0.0
    assert one(GREY, file_of(palette)).min() == 1.0


def test_16_bit_greys_are_scaled_not_clipped() -> None:
    image = Image.fromarray(np.full((4, 6), 65535 // 5, np.uint16))
    np.testing.assert_allclose(one(GREY, file_of(image)), 0.2, atol=0.01)


def test_a_photograph_is_turned_upright() -> None:
    image = Image.new("L", (4, 6), 0)
    image.paste(255, (0, 0, 4, 3))  # the upper half, which the camera says is the right one
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = one(GREY, file_of(image, "JPEG", exif=exif))[0]
    assert pixels[:, 3:].min() > 0.9
    assert pixels[:, :3].max() < 0.1


BROKEN_TEXT = PngInfo()
BROKEN_TEXT.add_text("Raw profile type exif", "\nexif\n 4\nzzzz")
TURNED, WITHOUT_ITS_VALUE = struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHII", 0x0103, 2, 3, 0)
DAMAGED: dict[str, dict[str, Any]] = {
    "garbage": {"exif": b"garbage!garbage!"},
    "cut short": {"exif": b"II*\0"},
    "a text that is not hexadecimal": {"pnginfo": BROKEN_TEXT},
    "a tag of another type": {"exif": struct.pack("<4sIH", b"II*\0", 8, 2) + TURNED + WITHOUT_ITS_VALUE + bytes(4)},
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_picture_with_damaged_exif_is_as_it_lies(fault: str) -> None:
    data = file_of(Image.fromarray(PIXELS), **DAMAGED[fault])
    np.testing.assert_allclose(one(COLOUR, data), PIXELS.transpose(2, 0, 1) / np.float32(255), atol=1e-7)


def test_fit_decides_what_becomes_of_another_size() -> None:
    wide = Image.new("L", (60, 4), 0)
    wide.paste(255, (0, 0, 30, 4))  # the left half is white
    data = file_of(wide)
    contained, covered, stretched = (one(GREY, data, fit=fit)[0] for fit in ("contain", "cover", "stretch"))
    assert contained.mean() < 0.2  # a thin line between black bars
    np.testing.assert_allclose(stretched[:, :2], 1.0, atol=0.01)
    np.testing.assert_allclose(stretched[:, 4:], 0.0, atol=0.01)
    assert covered[:, 0].min() > 0.9
    assert covered[:, 5].max() < 0.1


def test_uint8_arrays_count_to_255() -> None:
    np.testing.assert_allclose(one(GREY, PIXELS[..., 0]), PIXELS[None, ..., 0] / np.float32(255), atol=1e-7)


def test_numbers_and_files_share_a_batch() -> None:
    data = file_of(Image.new("L", (6, 4), 255))
    first, second = GREY.decode([np.ones((4, 6)).tolist(), data], Limits(max_items=2, max_pixels=10_000))
    assert torch.equal(first, second)


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    fields = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + fields
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(InvalidItems, match="the image has 60000 x 60000 pixels; 10000 are left"):
        GREY.decode(bomb + b"\0\0\0\0IEND\xaeB`\x82", Limits(max_items=1, max_pixels=10_000))


def test_the_pixels_of_all_images_of_a_request_count() -> None:
    data = file_of(Image.new("L", (60, 100)))
    with pytest.raises(InvalidItems, match="the image has 60 x 100 pixels; 4000 are left") as error:
        GREY.decode([data, data], Limits(max_items=9, max_pixels=10_000))
    assert [problem.index for problem in error.value.problems] == [1]


def test_a_truncated_file_is_refused() -> None:
    data = file_of(Image.fromarray(PIXELS), "PNG")
    for length in range(0, len(data) - 30, 7):
        with pytest.raises(UndecodableItems):
            COLOUR.decode(data[:length], Limits(max_items=1, max_pixels=10_000))


def test_bad_files_are_named_by_their_place() -> None:
    good = base64.b64encode(file_of(Image.new("L", (6, 4)))).decode()
    with pytest.raises(UndecodableItems) as error:
        GREY.decode([good, "%%%", good, "AAAA"], Limits(max_items=9, max_pixels=10_000))
    assert [problem.index for problem in error.value.problems] == [1, 3]


def test_too_many_files_are_refused_before_any_is_opened() -> None:
    with pytest.raises(InvalidItems, match="10 items; a request takes 1 to 9"):
        GREY.decode(["%%%"] * 10, Limits(max_items=9, max_pixels=10_000))


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: file_of(Image.new("L", (6, 4)))[:40] + tail))
def test_no_bytes_whatever_do_harm(data: bytes) -> None:
    with suppress(InvalidItems):
        assert one(GREY, data).max() <= 1


@given(nps.arrays(np.float32, (1, 4, 6), elements=st.floats(0, 1, width=32)))
def test_a_picture_of_a_picture_is_the_picture(image: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(one(GREY, GREY.data_url(image)), image, atol=0.5 / 255 + 1e-6)


def test_several_images_become_a_grid() -> None:
    images = np.stack([np.full((1, 4, 6), i / 10, np.float32) for i in range(5)])
    grid = np.asarray(Image.open(io.BytesIO(GREY.png(images))))
    assert grid.shape == (2 * 4 + 2, 3 * 6 + 2 * 2)
    for i in range(5):
        row, column = divmod(i, 3)
        tile = grid[row * 6 : row * 6 + 4, column * 8 : column * 8 + 6]
        assert set(tile.ravel()) == {round(i / 10 * 255)}
    assert Image.open(io.BytesIO(COLOUR.png(np.zeros((1, 3, 4, 6), np.float32)))).mode == "RGB"


def test_the_codec_is_built_from_what_a_checkpoint_says() -> None:
    assert build_codec({"modality": "image", "shape": [3, 4, 6]}) == COLOUR


def test_a_vector_is_numbers_and_nothing_else() -> None:
    codec = build_codec({"modality": "vector", "shape": [3]})
    (item,) = codec.decode([1, -2, 3.5], Limits(max_items=1, max_pixels=10_000))
    assert item.tolist() == [1, -2, 3.5]
    assert len(codec.decode(np.zeros((4, 3)), Limits(max_items=4, max_pixels=10_000))) == 4
    for value, message in (
        ([[1, 2, 1e39]], "lies outside"),
        ([[1, 2, float("nan")]], "the value nan at [2] is not a finite number"),
        (np.zeros((1, 3), np.uint8), "a uint8 array means pixels"),
        ("text", "a string is not an item"),
        (b"bytes", "is not an item"),
    ):
        with pytest.raises(InvalidItems, match=re.escape(message)):
            codec.decode(value, Limits(max_items=1, max_pixels=10_000))
