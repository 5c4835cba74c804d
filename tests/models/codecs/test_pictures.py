"""Encoded pictures: transparency in every form, paper and ink, sizes, and drawings that are centred as MNIST's."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.codecs.arrays import Limits
from models.codecs.image import ImageCodec
from models.errors import InvalidItems, Problem
from models.pictures.placing import Fit, Paper, PictureOptions, Style, fit_into
from tests.models.codecs.test_image import FITS, file_of

LIMITS = Limits(max_items=9, max_pixels=1_000_000)
PAPERS: tuple[Paper, ...] = ("black", "white")


def codec_of(paper: Paper | None, channels: int = 1, size: int = 4) -> ImageCodec:
    return ImageCodec(channels, size, size, Style(paper))


def decoded(codec: ImageCodec, data: bytes, **options: Any) -> tuple[NDArray[np.float32], list[str]]:
    """Return the pixels `[C, H, W]` and the warnings."""
    warnings: list[Problem] = []
    (item,) = codec.decode([data], LIMITS, options=PictureOptions(**options), warn=warnings.append)
    assert {warning.index for warning in warnings} <= {0}
    return item.numpy(), [warning.detail for warning in warnings]


def raw_png(depth: int, colour_type: int, row: bytes, key: bytes) -> bytes:
    """Return a PNG of four equal rows of four pixels, whose colour `key` is transparent."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 4, depth, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress((b"\0" + row) * 4))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def palette(transparency: int | bytes) -> bytes:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([128, 128, 128, 60, 60, 60, 90, 90, 90, 120, 120, 120])
    for column in range(4):
        image.paste(column, (column, 0, column + 1, 4))
    return file_of(image, transparency=transparency)


def with_alpha(mode: str, kind: str = "PNG") -> bytes:
    image = Image.new(mode, (4, 4), (128,) * (len(mode) - 1) + (255,))
    image.putalpha(Image.fromarray(np.repeat([[255, 255, 0, 255]], 4, 0).astype(np.uint8)))
    return file_of(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))


TRANSPARENT = {
    "RGBA": with_alpha("RGBA"),
    "LA": with_alpha("LA"),
    "WebP": with_alpha("RGBA", "WEBP"),
    "palette, one colour": palette(2),
    "palette, a list": palette(b"\xff\xff\x00"),
    "grey 1": raw_png(1, 0, bytes([0b1101_0000]), struct.pack(">H", 0)),
    "grey 2": raw_png(2, 0, bytes([0b01_01_10_01]), struct.pack(">H", 2)),
    "grey 4": raw_png(4, 0, bytes([0x77, 0x57]), struct.pack(">H", 5)),
    "grey 8": raw_png(8, 0, bytes([99, 99, 5, 99]), struct.pack(">H", 5)),
    "grey 16": raw_png(16, 0, struct.pack(">4H", 999, 40_000, 1234, 1235), struct.pack(">H", 1234)),
    "RGB 8": raw_png(8, 2, bytes([9, 9, 9, 9, 9, 8, 7, 8, 9, 7, 8, 8]), struct.pack(">3H", 7, 8, 9)),
    "RGB 16": raw_png(
        16, 2, struct.pack(">12H", *[9000] * 6, 700, 800, 900, 9000, 800, 900), struct.pack(">3H", 700, 800, 900)
    ),
}
"""Pictures of four columns, of which only the third is transparent."""


@pytest.mark.parametrize("form", TRANSPARENT)
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_are_paper_in_every_form(form: str, paper: Paper, channels: int) -> None:
    level = 1.0 if paper == "white" else 0.0
    pixels, _ = decoded(codec_of(paper, channels), TRANSPARENT[form])
    assert (pixels[:, :, 2] == level).all()
    opaque = pixels[:, :, [0, 1, 3]]
    on_no_paper, _ = decoded(codec_of(None, channels), TRANSPARENT[form])
    np.testing.assert_array_equal(opaque, on_no_paper[:, :, [0, 1, 3]])
    inverted, _ = decoded(codec_of(paper, channels), TRANSPARENT[form], invert=True)
    assert (inverted[:, :, 2] == level).all()
    np.testing.assert_allclose(inverted[:, :, [0, 1, 3]], 1 - opaque, atol=1e-6)


def test_half_transparent_pixels_are_half_paper() -> None:
    image = Image.new("LA", (4, 4), (255, 51))
    for paper, expected in (("black", 0.2), ("white", 1.0), (None, 0.2)):
        np.testing.assert_allclose(decoded(codec_of(paper), file_of(image))[0], expected, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_pictures_of_every_mode_are_read(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode)
    data = file_of(image, "JPEG" if mode == "CMYK" else "PNG")
    assert decoded(codec_of(None, 3), data)[0].min() > 0.98
    assert decoded(codec_of(None), data)[0].min() > 0.98


def drawing(paper: str, ink: str, size: tuple[int, int] = (40, 40)) -> Image.Image:
    image = Image.new("L", size, paper)
    image.paste(ink, (10, 10, 30, 30))
    return image


@pytest.mark.parametrize("paper", PAPERS)
def test_paper_that_seems_to_be_ink_is_warned_of(paper: Paper) -> None:
    other = {"black": "white", "white": "black"}[paper]
    right, wrong = file_of(drawing(paper, other)), file_of(drawing(other, paper))
    assert decoded(codec_of(paper), right)[1] == []
    (warning,) = decoded(codec_of(paper), wrong)[1]
    assert f"images with {paper} paper" in warning
    assert "set the parameter invert to true" in warning
    assert decoded(codec_of(paper), wrong, invert=True)[1] == []
    assert "leave out the parameter invert" in decoded(codec_of(paper), right, invert=True)[1][0]
    assert decoded(codec_of(None), wrong)[1] == []
    np.testing.assert_array_equal(decoded(codec_of(paper), wrong, invert=True)[0], decoded(codec_of(paper), right)[0])


def test_dark_ink_on_nothing_is_warned_of_and_survives_inversion() -> None:
    image = Image.new("LA", (40, 40), (0, 0))
    image.paste((0, 255), (10, 10, 30, 30))
    pixels, warnings = decoded(codec_of("black", size=40), file_of(image))
    assert (pixels.max(), len(warnings)) == (0.0, 1)
    pixels, warnings = decoded(codec_of("black", size=40), file_of(image), invert=True)
    assert warnings == []
    np.testing.assert_array_equal(pixels[0] * 255, drawing("black", "white"))


def test_the_bars_of_a_picture_are_paper() -> None:
    wide = file_of(Image.new("L", (8, 4), 128))
    for paper, level in (("black", 0.0), ("white", 1.0)):
        pixels, _ = decoded(codec_of(paper), wide)  # type: ignore[arg-type]
        assert set(pixels[0, [0, 3]].ravel()) == {level}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation_is_read_and_said(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), (level,) * 3) for level in (51, 255, 0)]
    data = file_of(frames[0], kind, save_all=True, append_images=frames[1:])
    pixels, (warning,) = decoded(codec_of("black"), data)
    np.testing.assert_allclose(pixels, 0.2, atol=0.02)
    assert "of its 3 frames, only the first is read" in warning


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(FITS))
def test_a_narrow_picture_keeps_a_pixel(width: int, height: int, fit: Fit) -> None:
    image = fit_into(Image.new("L", (width, height), 255), (28, 20), fit, 0)
    assert image.size == (28, 20)
    assert np.asarray(image).max() == 255


@given(st.integers(8, 90), st.integers(8, 90))
def test_pictures_are_resized_as_pillow_does(width: int, height: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width), dtype=np.uint8)
    image, size = Image.fromarray(pixels), (28, 20)
    contained = ImageOps.pad(image, size, Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(fit_into(image, size, "contain", 0), contained)
    covered = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    np.testing.assert_allclose(np.asarray(fit_into(image, size, "cover", 0), float), np.asarray(covered, float), atol=1)


MNIST = ImageCodec(1, 28, 28, Style("black", ink_box=20))


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 50),
    st.integers(0, 50),
    st.sampled_from([20, 200]),
    st.booleans(),
)
def test_ink_is_scaled_and_centred_by_its_mass(
    width: int, height: int, left: int, top: int, size: int, is_inverted: bool
) -> None:
    image = Image.new("L", (size + 50, size + 50), 0)
    image.paste(255, (left, top, left + width, top + height))
    image.paste(120, (left, top, left + width, top + (height + 1) // 2))
    data = file_of(ImageOps.invert(image) if is_inverted else image)
    pixels, _ = decoded(MNIST, data, centre=True, invert=is_inverted)
    mass = pixels[0].astype(np.float64)
    rows, columns = np.nonzero(mass > 0.1)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = mass.sum(1 - axis) @ np.arange(28) / mass.sum()
        assert abs(centre - 14) <= 0.51


def test_ink_that_vanishes_when_it_is_scaled_is_refused() -> None:
    dots = Image.new("L", (1000, 1000), 0)
    for corner in ((0, 0), (999, 999)):
        dots.putpixel(corner, 255)
    with pytest.raises(InvalidItems, match="too fine: none is left of it at 20 x 20 pixels") as error:
        decoded(MNIST, file_of(dots), centre=True)
    assert [problem.index for problem in error.value.problems] == [0]


def test_a_digit_of_mnist_is_its_own_centred_drawing() -> None:
    """A drawing in the middle of a large dark sheet gives the pixels that it was drawn from."""
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 9:19] = np.random.default_rng(0).integers(60, 255, (20, 10))
    mass = digit.astype(float)
    middle = [round(14 - mass.sum(1 - axis) @ np.arange(28) / mass.sum()) for axis in (0, 1)]
    sheet = Image.new("L", (300, 200), 0)
    sheet.paste(Image.fromarray(digit), (170, 33))
    pixels, _ = decoded(MNIST, file_of(sheet), centre=True)
    np.testing.assert_allclose(pixels[0] * 255, np.roll(digit, middle, (0, 1)), atol=1e-3)


@pytest.mark.parametrize(
    ("codec", "options", "parameter", "reason"),
    [
        (codec_of("black"), {"centre": True}, "centre", "this model's images are not"),
        (MNIST, {"centre": True, "fit": "cover"}, "fit", "fit and centre exclude each other"),
        (MNIST, {"centre": True}, None, "no ink to centre: all of it is black"),
    ],
)
def test_centring_is_refused_where_it_has_no_meaning(
    codec: ImageCodec, options: dict[str, Any], parameter: str | None, reason: str
) -> None:
    with pytest.raises(InvalidItems, match=reason) as error:
        decoded(codec, file_of(Image.new("L", (9, 9), 0)), **options)
    assert error.value.problems[0].parameter == parameter


def test_a_picture_with_a_profile_is_read() -> None:
    file = io.BytesIO()
    Image.new("L", (4, 4), 51).save(file, "PNG", icc_profile=b"not a profile")
    np.testing.assert_allclose(decoded(codec_of("black"), file.getvalue())[0], 0.2, atol=1e-6)
