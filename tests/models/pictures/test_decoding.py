"""Decoding: large pictures as small ones, band by band, and damaged files of every kind."""

import io
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from models.errors import InvalidItems, UndecodableItems
from models.pictures.bands import BAND_PIXELS, bands
from models.pictures.decoding import DecodedPicture, EncodedPicture, PictureForm, decode_picture
from models.pictures.placing import PictureOptions, Style
from models.pictures.reading import read_header
from tests.models.codecs.test_image import file_of
from tests.models.pictures.files import exif_of

SIZE = (1000, 1201)
"""Size of a picture of more than two bands."""
RANDOM = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 4), dtype=np.uint8)


def decoded(data: bytes, style: Style | None = None, *, channels: int = 1, **options: Any) -> DecodedPicture:
    """The picture in its own size."""
    header = read_header(data, 2**26)
    form = PictureForm(channels, header.height, header.width, style or Style(), PictureOptions(**options))
    return decode_picture(EncodedPicture(data, header), form)


def blended(levels: NDArray[np.uint8], paper: int) -> NDArray[np.uint8]:
    return np.asarray(
        Image.composite(
            Image.fromarray(levels), Image.new("L", SIZE, paper), Image.fromarray(np.ascontiguousarray(RANDOM[..., 3]))
        )
    )


def test_bands_cover_an_image_once() -> None:
    image = Image.fromarray(np.ascontiguousarray(RANDOM[..., 0]))
    assert SIZE[0] * SIZE[1] > 2 * BAND_PIXELS
    found = list(bands(image))
    assert len(found) == 3
    np.testing.assert_array_equal(np.concatenate([np.asarray(band) for _, band in found]), image)
    assert [box[1] for box, _ in found[1:]] == [box[3] for box, _ in found[:-1]]


@pytest.mark.parametrize("paper", ["black", "white"])
@pytest.mark.parametrize("invert", [False, True])
def test_a_large_picture_is_put_on_paper_as_a_whole(paper: Any, invert: bool) -> None:
    grey_and_alpha = np.ascontiguousarray(RANDOM[..., [0, 3]])
    found = decoded(file_of(Image.fromarray(grey_and_alpha), compress_level=1), Style(paper), invert=invert)
    levels = np.ascontiguousarray(255 - RANDOM[..., 0] if invert else RANDOM[..., 0])
    np.testing.assert_array_equal(found.pixels[0], blended(levels, 255 if paper == "white" else 0))


def test_a_large_picture_of_16_bits_is_rounded() -> None:
    levels = RANDOM[..., 0].astype(np.uint16) * 256 + RANDOM[..., 1]
    found = decoded(file_of(Image.fromarray(levels), compress_level=1))
    np.testing.assert_array_equal(found.pixels[0], np.rint(levels / 257).astype(np.uint8))


def test_transparent_colours_of_a_large_picture_are_paper() -> None:
    colours = np.ascontiguousarray(RANDOM[..., :3] // 128)
    data = file_of(Image.fromarray(colours), compress_level=1, transparency=(1, 0, 1))
    found = decoded(data, Style("white"), channels=3)
    expected = np.where((colours == (1, 0, 1)).all(-1)[..., None], 255, colours)
    np.testing.assert_array_equal(found.pixels, expected.transpose(2, 0, 1))
    palette = Image.fromarray(RANDOM[..., 0] // 64).convert("P")
    found = decoded(file_of(palette, compress_level=1, transparency=bytes([255, 0])), Style("white"))
    np.testing.assert_array_equal(found.pixels[0] == 255, RANDOM[..., 0] // 64 == 1)


def test_the_ink_of_a_large_picture_is_found() -> None:
    sheet = Image.new("L", SIZE, 0)
    drawing = Image.fromarray(np.ascontiguousarray(RANDOM[:300, :200, 0]) // 2 + 100)
    sheet.paste(drawing, (700, 850))
    small = Image.new("L", (320, 320), 0)
    small.paste(drawing, (60, 10))
    style = Style("black", ink_box=20)
    found: list[NDArray[np.uint8]] = []
    for image in (sheet, small, ImageOps.invert(sheet)):
        data = file_of(image)
        form = PictureForm(1, 28, 28, style, PictureOptions(centre=True, invert=len(found) == 2))
        found.append(decode_picture(EncodedPicture(data, read_header(data, 2**26)), form).pixels)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_form_survives_json() -> None:
    form = PictureForm(3, 20, 33, Style("white", 15), PictureOptions(fit="cover", invert=True))
    assert PictureForm.from_json(form.to_json()) == form


def test_exif_data_in_a_text_have_the_same_limit() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n1\n{exif_of(2000, 2**14).hex()}")
    data = file_of(Image.new("L", (4, 4)), pnginfo=text)
    with pytest.raises(InvalidItems, match="and their entries say"):
        decoded(data)


def test_a_file_whose_decoder_finds_another_size_is_refused() -> None:
    image = Image.new("RGB", (9, 9))
    file = io.BytesIO()
    image.save(file, "PNG")
    header = read_header(file_of(Image.new("RGB", (3, 3))), 2**26)
    with pytest.raises(UndecodableItems):
        decode_picture(EncodedPicture(file.getvalue(), header), PictureForm(1, 9, 9, Style()))


def damaged(whole: bytes, source: random.Random) -> bytes:
    """A file with flipped bits, inserted or missing bytes, or that ends too early."""
    data, kind = bytearray(whole), source.randrange(4)
    place = source.randrange(len(data))
    if kind == 0:
        del data[place:]
    elif kind == 1:
        for _ in range(source.randint(1, 8)):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    elif kind == 2:
        data[place:place] = source.randbytes(source.randint(1, 50))
    else:
        del data[place : place + source.randint(1, 50)]
    return bytes(data)


FILES: dict[str, dict[str, Any]] = {
    "PNG": {"transparency": 3},
    "PNG with EXIF": {"exif": exif_of(9, 9)},
    "JPEG": {"exif": b"Exif\0\0" + exif_of(9, 9)},
    "JPEG, progressive": {"progressive": True},
    "WEBP": {"exif": b"Exif\0\0" + exif_of(9, 9)},
    "WEBP, lossless": {"lossless": True},
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_decoded_or_refused(name: str) -> None:
    source = random.Random(name)  # for tests
    image = Image.fromarray(np.ascontiguousarray(RANDOM[:20, :30, 0])).convert("P" if name == "PNG" else "RGB")
    whole = file_of(image, name.split()[0].strip(","), **FILES[name])
    n_refused = 0
    for _ in range(150):
        try:
            found = decoded(damaged(whole, source), Style("black", 10), channels=3, centre=False)
        except InvalidItems:
            n_refused += 1
        else:
            assert found.pixels.ndim == 3
    assert 30 < n_refused <= 150
