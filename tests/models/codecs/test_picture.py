"""Pictures of several sizes and their latents: what is read, and what is refused."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.codecs.arrays import Limits
from models.codecs.picture import LatentPictureCodec, PictureCodec
from models.errors import InvalidItems, Problem
from models.pictures.placing import PictureOptions

CODEC = PictureCodec.of(3, multiple=4, max_pixels=200)
GREY = PictureCodec.of(1, multiple=2, max_pixels=200)
LATENTS = LatentPictureCodec(2, max_positions=12)
LIMITS = Limits(max_items=3, max_pixels=10_000)


def png(width: int, height: int, *, orientation: int | None = None) -> bytes:
    """A picture in which red grows from left to right."""
    red = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
    image = Image.fromarray(np.stack([red, red * 0, red * 0], 2))
    file, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


def numbers(*shape: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.random.default_rng(0).random(shape)


def test_an_encoded_image_keeps_its_size() -> None:
    (item,) = CODEC.decode(png(12, 8), LIMITS)
    assert item.shape == (3, 8, 12)
    assert item[0, 0].tolist() == pytest.approx((np.linspace(0, 255, 12).astype(np.uint8) / 255).tolist())


def test_a_side_is_cut_to_a_multiple_with_a_warning() -> None:
    warnings: list[Problem] = []
    items = CODEC.decode([png(12, 8), png(15, 9)], LIMITS, warn=warnings.append)
    assert [tuple(item.shape) for item in items] == [(3, 8, 12), (3, 8, 12)]
    assert [(problem.index, problem.detail) for problem in warnings] == [
        (1, "the image of 15 x 9 pixels is resized to 12 x 8, since the model takes sides of multiples of 4")
    ]
    assert items[1][0, 0, -1] > 0.9  # nothing was cut off


def test_an_image_that_is_stored_turned_keeps_its_upright_size() -> None:
    (item,) = CODEC.decode(png(12, 8, orientation=6), LIMITS)
    assert item.shape == (3, 12, 8)


@pytest.mark.parametrize("wrap", [lambda array: array, lambda array: array.tolist()], ids=["array", "lists"])
def test_numbers_are_one_picture_or_several(wrap: Any) -> None:
    single, several = numbers(3, 4, 8), numbers(2, 3, 4, 8)
    (item,) = CODEC.decode(wrap(single), LIMITS)
    torch.testing.assert_close(item, torch.from_numpy(single).float())
    for item, expected in zip(CODEC.decode(wrap(several), LIMITS), several, strict=True):
        torch.testing.assert_close(item, torch.from_numpy(expected).float())


def test_pictures_of_a_request_differ_in_size() -> None:
    given = [numbers(3, 4, 8).tolist(), base64.b64encode(png(8, 8)).decode(), numbers(3, 12, 4).tolist()]
    assert [tuple(item.shape) for item in CODEC.decode(given, LIMITS)] == [(3, 4, 8), (3, 8, 8), (3, 12, 4)]
    lists = [numbers(3, 4, 8).tolist(), numbers(3, 12, 4).tolist()]
    assert [tuple(item.shape) for item in CODEC.decode(lists, LIMITS)] == [(3, 4, 8), (3, 12, 4)]


def test_bytes_of_an_array_count_from_0_to_255() -> None:
    (item,) = GREY.decode(np.full((1, 2, 4), 51, dtype=np.uint8), LIMITS)
    torch.testing.assert_close(item, torch.full((1, 2, 4), 0.2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (numbers(3, 4, 6), r"the shape is \[3, 4, 6\]; expected numbers of shape \[3, H, W\].*multiples of 4"),
        (numbers(4, 4, 4), r"the shape is \[4, 4, 4\]"),
        (numbers(3, 0, 4), r"the shape is \[3, 0, 4\]"),
        (numbers(1, 1, 3, 4, 4), r"the shape is \[1, 1, 3, 4, 4\]"),
        (numbers(48).tolist(), r"the shape is \[48\]"),
        (numbers(3, 16, 16), "the picture has 16 x 16 pixels, 256; this model takes at most 200"),
        (numbers(3, 4, 4) + 0.5, r"lies outside \[0, 1\]"),
        (np.full((3, 4, 4), np.nan), "nan .*is not a finite number"),
        (png(20, 16), "the picture has 20 x 16 pixels, 320; this model takes at most 200"),
        (png(16, 3), "the picture has 16 x 3 pixels; each side has at least 4"),
        ([[["a"]]], "the item holds a string"),
        ([None], "the item is null"),
        ([], "0 items; a request takes 1 to 3"),
        (numbers(4, 3, 4, 4), "4 items; a request takes 1 to 3"),
    ],
)
def test_other_values_are_refused(values: object, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        CODEC.decode(values, LIMITS)


def test_problems_name_their_items() -> None:
    given = [numbers(3, 4, 8).tolist(), numbers(3, 4, 7).tolist(), (numbers(3, 4, 8) - 3).tolist()]
    with pytest.raises(InvalidItems) as refused:
        CODEC.decode(given, LIMITS)
    assert [problem.index for problem in refused.value.problems] == [1]
    with pytest.raises(InvalidItems) as refused:
        CODEC.decode(given[::2], LIMITS)
    assert [problem.index for problem in refused.value.problems] == [1]


def test_a_picture_keeps_its_size_and_cannot_be_fitted() -> None:
    with pytest.raises(InvalidItems) as refused:
        CODEC.decode(png(8, 8), LIMITS, options=PictureOptions(fit="cover"))
    assert [problem.parameter for problem in refused.value.problems] == ["fit"]


def test_a_picture_becomes_a_png_of_its_size() -> None:
    image = Image.open(io.BytesIO(CODEC.png(numbers(1, 3, 8, 12).astype(np.float32))))
    assert image.size == (12, 8)


def test_latents_are_small_pictures_of_any_numbers() -> None:
    assert LATENTS.shape == (2, -1, -1)
    given = [(numbers(2, 3, 4) * 100 - 50).tolist(), [[[1e30]], [[-1e30]]]]
    first, second = LATENTS.decode(given, LIMITS)
    torch.testing.assert_close(first, torch.tensor(given[0]))
    assert second.shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (numbers(3, 2, 2), r"the shape is \[3, 2, 2\]; expected numbers of shape \[2, h, w\]"),
        (numbers(2, 5, 3), "the latent has 15 positions; this model takes at most 12"),
        (np.zeros((2, 2, 2), dtype=np.uint8), "a uint8 array means pixels"),
        (np.full((2, 2, 2), np.inf), "inf .*is not a finite number"),
        ("latent", "the item is a string"),
    ],
)
def test_other_latents_are_refused(values: object, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        LATENTS.decode(values, LIMITS)
