"""Made-up pictures of what is no digit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from training.altered_digits import Digits, Levels, altered_digits
from training.drawings import INK_BOX, SIDE, filled_shapes, pen_drawings
from training.typeset import characters_of_fonts, typeset_characters


def draw(maker: Callable[[int, np.random.Generator], Tensor], n: int, seed: int = 0) -> Tensor:
    return maker(n, np.random.default_rng(seed))


def extents(pictures: Tensor) -> Tensor:
    """Return the longer side of the ink of each picture, in pixels."""
    inked = pictures[:, 0] > 0.1
    sides = []
    for axis in (1, 2):
        lines = inked.any(axis).int()
        sides.append(SIDE - lines.argmax(1) - lines.flip(1).argmax(1))
    return torch.stack(sides).amax(0)


@pytest.mark.parametrize("maker", [pen_drawings, typeset_characters, filled_shapes])
def test_pictures_follow_from_the_seed(maker: Callable[[int, np.random.Generator], Tensor]) -> None:
    first = draw(maker, 12)
    assert first.shape == (12, 1, SIDE, SIDE)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < 0.01
    assert 0.5 < first.max() <= 1
    assert torch.equal(first, draw(maker, 12))
    assert not torch.equal(first, draw(maker, 12, seed=1))
    assert len({picture.numpy().tobytes() for picture in first}) == 12


@pytest.mark.parametrize("maker", [pen_drawings, typeset_characters])
def test_drawings_are_framed_as_mnist_frames_digits(maker: Callable[[int, np.random.Generator], Tensor]) -> None:
    drawings = draw(maker, 80)
    assert ((extents(drawings) - INK_BOX).abs() <= 1).all()
    mass = drawings[:, 0] / drawings[:, 0].sum((1, 2), keepdim=True)
    places = torch.arange(float(SIDE))
    for axis in (1, 2):
        centre = (mass.sum(axis) * places).sum(1)
        inside = drawings[:, 0].any(axis)[:, [0, -1]].logical_not().all(1)  # at an edge, the ink cannot be centred
        assert inside.sum() > 40
        assert ((centre - SIDE / 2).abs() <= 0.6)[inside].all()


def test_pen_drawings_are_lines_of_about_the_width_of_mnist_with_grey_edges() -> None:
    drawings = draw(pen_drawings, 80)
    share = (drawings > 0.5).float().mean((1, 2, 3))
    assert 0.05 < share.mean() < 0.3  # of MNIST, 0.13
    is_grey = (drawings > 0.1) & (drawings < 0.9)
    assert is_grey.flatten(1).any(1).all()


def test_typeset_characters_are_no_digits_and_of_many_scripts() -> None:
    for path, characters in characters_of_fonts():
        assert path.is_file()
        assert len(characters) > 1000
        assert not any(each.isdecimal() for each in characters)
        assert not {"O", "l", "Z", "S"} & set(characters)
        assert {"A", "k", "\N{GREEK SMALL LETTER PSI}", "\N{CYRILLIC CAPITAL LETTER ZHE}"} <= set(characters)


def test_half_of_the_shapes_fill_more_than_the_box_of_a_digit() -> None:
    large = extents(draw(filled_shapes, 120)) > INK_BOX + 1
    assert 0.15 < large.float().mean() < 0.6


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Digits whose pictures tell which they are: bars of as many rows, in the left half only."""
    images = torch.zeros(10, 1, SIDE, SIDE)
    for digit in range(10):
        images[digit, 0, 4 : 10 + digit, 6:14] = (10 + digit) / 20
    return Digits(images, torch.arange(10), np.random.default_rng(0))


def digit_of(levels: Levels) -> int:
    return round(float(levels.max()) / 255 * 20) - 10


def test_only_digits_that_are_none_in_the_mirror_are_mirrored(digits: Digits) -> None:
    mirrored = [digits.mirrored() for _ in range(60)]
    assert {digit_of(levels) for levels in mirrored} == {3, 4, 6, 7, 9}
    upside_down = [digit_of(levels) for levels in mirrored if levels[:, :14].any()]
    assert set(upside_down) == {4, 6, 7, 9}
    assert len(upside_down) < 60


def test_turned_digits_lie_on_their_side(digits: Digits) -> None:
    for levels in (digits.turned() for _ in range(40)):
        digit = digit_of(levels)
        assert digit not in (0, 1, 8)
        inked = levels.astype(bool)
        assert (inked.any(0).sum(), inked.any(1).sum()) == (6 + digit, 8)


def test_two_digits_are_written_side_by_side_with_little_between_them(digits: Digits) -> None:
    pairs = [digits.side_by_side() for _ in range(30)]
    assert {levels.shape[1] for levels in pairs} == {16, 17, 18, 19}
    assert {len(np.unique(levels[levels > 0])) for levels in pairs} == {1, 2}  # some are of the same digit


def test_digits_that_are_written_over_keep_their_ink(digits: Digits) -> None:
    for levels in (digits.written_over() for _ in range(10)):
        assert np.count_nonzero(levels[4:10, 6:14]) == 48
        assert levels[:, 14:].any()


def test_altered_digits_follow_from_the_seed_and_are_framed() -> None:
    images = torch.rand(20, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images[:, :, :4], images[:, :, -4:] = 0, 0
    labels = torch.arange(20) % 10
    first, again = (altered_digits(images, labels, 30, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (30, 1, SIDE, SIDE)
    assert ((extents(first) - INK_BOX).abs() <= 1).all()
