import base64
import io
import struct
import zlib
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models.codecs.arrays import Limits
from models.codecs.image import ImageCodec
from models.errors import InvalidItems, UndecodableItems
from models.pictures.placing import Fit, PictureOptions

FITS: tuple[Fit, ...] = ("contain", "cover", "stretch")
GREY, COLOUR = ImageCodec(1, 4, 6), ImageCodec(3, 4, 6)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode_single(codec: ImageCodec, value: object, **options: Any) -> NDArray[np.float32]:
    (item,) = codec.decode(value, Limits(max_items=9, max_pixels=10_000), **options)
    assert item.dtype == torch.float32
    assert item.shape == codec.shape
    return item.numpy()


def test_png_is_exact_and_channels_come_first() -> None:
    expected = PIXELS.transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_allclose(decode_single(COLOUR, file_of(Image.fromarray(PIXELS))), expected, atol=1e-7)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_format_is_read_as_bytes_base64_and_data_url(kind: str) -> None:
    data = file_of(Image.new("RGB", (6, 4), (255, 255, 255)), kind)
    text = base64.b64encode(data).decode()
    for value in (data, [data], text, [f"data:image/{kind.lower()};base64,{text}"]):
        np.testing.assert_allclose(decode_single(COLOUR, value), 1.0, atol=0.02)


def test_other_formats_are_not_opened() -> None:
    with pytest.raises(UndecodableItems, match="accepted are PNG, JPEG, WEBP"):
        GREY.decode(file_of(Image.new("L", (6, 4)), "BMP"), Limits(max_items=1, max_pixels=10_000))


def test_colours_become_grey_and_grey_becomes_colour() -> None:
    assert decode_single(GREY, file_of(Image.new("RGB", (6, 4), (255, 255, 255)))).min() == 1.0
    np.testing.assert_allclose(decode_single(COLOUR, file_of(Image.new("L", (6, 4), 51))), 0.2, atol=1e-6)


def test_transparent_pixels_are_black() -> None:
    assert decode_single(GREY, file_of(Image.new("RGBA", (6, 4), (255, 255, 255, 0)))).max() == 0.0
    palette = Image.new("P", (6, 4), 0)
    palette.putpalette([255, 255, 255])
    assert decode_single(GREY, file_of(palette, transparency=0)).max() == 0.0
    assert decode_single(GREY, file_of(palette)).min() == 1.0


def test_16_bit_greys_are_scaled() -> None:
    image = Image.fromarray(np.full((4, 6), 65535 // 5, np.uint16))
    np.testing.assert_allclose(decode_single(GREY, file_of(image)), 0.2, atol=0.01)


def test_a_photograph_is_rotated_as_its_exif_says() -> None:
    image = Image.new("L", (4, 6), 0)
    image.paste(255, (0, 0, 4, 3))  # the upper half, which is the right one according to the EXIF
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode_single(GREY, file_of(image, "JPEG", exif=exif))[0]
    assert pixels[:, 3:].min() > 0.9
    assert pixels[:, :3].max() < 0.1


INVALID_TEXT = PngInfo()
INVALID_TEXT.add_text("Raw profile type exif", "\nexif\n 4\nzzzz")
ROTATED, WITHOUT_VALUE = struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHII", 0x0103, 2, 3, 0)
DAMAGED: dict[str, dict[str, Any]] = {
    "garbage": {"exif": b"garbage!garbage!"},
    "cut short": {"exif": b"II*\0"},
    "a text that is not hexadecimal": {"pnginfo": INVALID_TEXT},
    "a tag of another type": {"exif": struct.pack("<4sIH", b"II*\0", 8, 2) + ROTATED + WITHOUT_VALUE + bytes(4)},
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_exif_is_ignored(fault: str) -> None:
    data = file_of(Image.fromarray(PIXELS), **DAMAGED[fault])
    np.testing.assert_allclose(decode_single(COLOUR, data), PIXELS.transpose(2, 0, 1) / np.float32(255), atol=1e-7)


def test_fit_says_how_images_of_another_size_are_resized() -> None:
    wide = Image.new("L", (60, 4), 0)
    wide.paste(255, (0, 0, 30, 4))  # the left half is white
    data = file_of(wide)
    contained, covered, stretched = (decode_single(GREY, data, options=PictureOptions(fit=fit))[0] for fit in FITS)
    assert contained.mean() < 0.2  # a thin line between black bars
    np.testing.assert_allclose(stretched[:, :2], 1.0, atol=0.01)
    np.testing.assert_allclose(stretched[:, 4:], 0.0, atol=0.01)
    assert covered[:, 0].min() > 0.9
    assert covered[:, 5].max() < 0.1


def test_uint8_arrays_are_divided_by_255() -> None:
    np.testing.assert_allclose(decode_single(GREY, PIXELS[..., 0]), PIXELS[None, ..., 0] / np.float32(255), atol=1e-7)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_16_bit_greys_are_rounded_to_8_bits(mode: str) -> None:
    greys = np.array([0, 128, 129, 255, 257, 32767, 65534, 65535]).repeat(24)
    for part in greys.reshape(8, 4, 6):
        image = Image.frombytes(mode, (6, 4), part.astype("<u2" if mode == "I;16" else ">u2").tobytes())
        np.testing.assert_allclose(decode_single(GREY, file_of(image)), part[None] / 65535, rtol=0, atol=0.5001 / 255)


@pytest.mark.parametrize("order", ["C", "F"])
def test_tensors_are_contiguous(order: Literal["C", "F"]) -> None:
    batch = np.zeros((2, 3, 4, 6), order=order)
    files = [file_of(Image.fromarray(PIXELS))] * 2
    for values in (batch, batch.astype(np.uint8), batch.tolist(), files):
        assert all(item.is_contiguous() for item in COLOUR.decode(values, Limits(max_items=2, max_pixels=10_000)))


def test_numbers_and_files_share_a_batch() -> None:
    data = file_of(Image.new("L", (6, 4), 255))
    first, second = GREY.decode([np.ones((4, 6)).tolist(), data], Limits(max_items=2, max_pixels=10_000))
    assert torch.equal(first, second)


@pytest.mark.parametrize("place", [0, 1, 15, 16, 40])
@pytest.mark.parametrize("picture", ["bytes", "base64"])
def test_an_image_may_be_at_any_place_among_numbers(place: int, picture: str) -> None:
    data = file_of(Image.new("L", (6, 4), 255))
    values: list[Any] = [np.zeros((4, 6)).tolist(), [0.0] * 24] * 25
    values[place] = data if picture == "bytes" else base64.b64encode(data).decode()
    items = GREY.decode(values, Limits(max_items=50, max_pixels=10_000))
    assert [int(item.mean()) for item in items] == [int(i == place) for i in range(50)]


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ([[0.0] * 24, "%%%"], 1),
        ([[0.0] * 24, "AAAA", [0.0] * 23], 1),
        (["", [0.0] * 24], 0),
        ([0.5, "AAAA"], None),
        ([[[0.0] * 24], file_of(Image.new("L", (6, 4)))], 0),
        ([[[0.0] * 6] * 4, [[0.0] * 24] * 2, "AAAA"], 1),
        ([[0.0] * 24, [2.0] + [0.0] * 23, file_of(Image.new("L", (6, 4)))], 1),
        ([[0.0] * 24, None, file_of(Image.new("L", (6, 4)))], 1),
    ],
)
def test_an_error_in_a_mixed_list_names_the_item(values: list[Any], index: int | None) -> None:
    with pytest.raises(InvalidItems) as error:
        GREY.decode(values, Limits(max_items=9, max_pixels=10_000))
    assert error.value.problems[0].index == index


@pytest.mark.parametrize("name", ["fit", "invert", "centre"])
def test_options_of_encoded_images_are_refused_for_numbers(name: str) -> None:
    given: dict[str, Any] = {name: "cover" if name == "fit" else True}
    option = PictureOptions(**given)
    for values in ([0.0] * 24, [[0.0] * 24], np.zeros((2, 4, 6), np.uint8)):
        with pytest.raises(InvalidItems, match="the inputs are numbers") as error:
            GREY.decode(values, Limits(max_items=9, max_pixels=10_000), options=option)
        assert error.value.problems[0].parameter == name


def test_an_option_that_would_leave_out_an_item_is_refused() -> None:
    mixed = [file_of(Image.new("L", (6, 4))), [0.0] * 24]
    with pytest.raises(InvalidItems, match="item 1 is not one") as error:
        GREY.decode(mixed, Limits(max_items=9, max_pixels=10_000), options=PictureOptions(invert=True))
    assert error.value.problems[0].parameter == "invert"
    assert len(GREY.decode(mixed, Limits(max_items=9, max_pixels=10_000), options=PictureOptions(fit="cover"))) == 2


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    fields = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + fields
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(InvalidItems, match="the image has 60000 x 60000 pixels; 10000 are left"):
        GREY.decode(bomb + b"\0\0\0\0IEND\xaeB`\x82", Limits(max_items=1, max_pixels=10_000))


def test_the_limit_of_pixels_is_for_all_images_of_a_request() -> None:
    data = file_of(Image.new("L", (60, 100)))
    with pytest.raises(InvalidItems, match="the image has 60 x 100 pixels; 4000 are left") as error:
        GREY.decode([data, data], Limits(max_items=9, max_pixels=10_000))
    assert [problem.index for problem in error.value.problems] == [1]


def test_a_truncated_file_is_refused() -> None:
    data = file_of(Image.fromarray(PIXELS), "PNG")
    for length in range(0, len(data) - 30, 7):
        with pytest.raises(UndecodableItems):
            COLOUR.decode(data[:length], Limits(max_items=1, max_pixels=10_000))


def test_errors_name_the_indices_of_invalid_files() -> None:
    good = base64.b64encode(file_of(Image.new("L", (6, 4)))).decode()
    with pytest.raises(UndecodableItems) as error:
        GREY.decode([good, "%%%", good, "AAAA"], Limits(max_items=9, max_pixels=10_000))
    assert [problem.index for problem in error.value.problems] == [1, 3]


def test_too_many_files_are_refused_before_any_is_opened() -> None:
    with pytest.raises(InvalidItems, match="10 items; a request takes 1 to 9"):
        GREY.decode(["%%%"] * 10, Limits(max_items=9, max_pixels=10_000))


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: file_of(Image.new("L", (6, 4)))[:40] + tail))
def test_arbitrary_bytes_are_decoded_or_refused(data: bytes) -> None:
    with suppress(InvalidItems):
        assert decode_single(GREY, data).max() <= 1


@given(nps.arrays(np.float32, (1, 4, 6), elements=st.floats(0, 1, width=32)))
def test_an_image_survives_its_data_url(image: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(decode_single(GREY, GREY.data_url(image)), image, atol=0.5 / 255 + 1e-6)


def test_several_images_become_a_grid() -> None:
    images = np.stack([np.full((1, 4, 6), i / 10, np.float32) for i in range(5)])
    grid = np.asarray(Image.open(io.BytesIO(GREY.png(images))))
    assert grid.shape == (2 * 4 + 2, 3 * 6 + 2 * 2)
    for i in range(5):
        row, column = divmod(i, 3)
        tile = grid[row * 6 : row * 6 + 4, column * 8 : column * 8 + 6]
        assert set(tile.ravel()) == {round(i / 10 * 255)}
    assert Image.open(io.BytesIO(COLOUR.png(np.zeros((1, 3, 4, 6), np.float32)))).mode == "RGB"
