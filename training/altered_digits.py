"""Digits that were altered until they are none: mirrored, turned, joined from two, cut or written over."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.drawings import SIDE, Random, framed, pen_drawings

Levels = NDArray[np.uint8]
"""A picture, `[28, 28]`."""

MIRRORED_LEFT_RIGHT = (3, 4, 6, 7, 9)
"""Digits that are none in the mirror. The others look like themselves or, as 2 and 5, like one another."""
MIRRORED_TOP_DOWN = (4, 6, 7, 9)
"""Digits that are none upside down in the mirror, which 3 is like."""
TURNED = (2, 3, 4, 5, 6, 7, 9)
"""Digits that are none when they lie on their side; 0 and 8 may be narrow or wide, and 1 may be slanted."""
MIN_CUT_PX, MAX_CUT_PX = 7, 12
"""Limits of the sides of a piece that is cut out of a digit."""
MIN_CUT_SHARE = 0.2
"""Least share of the ink that a cut removes; a digit with less of a gap is still that digit."""


def altered_digits(images: Tensor, labels: Tensor, n: int, random: Random) -> Tensor:
    """Return altered digits, `[n, 1, 28, 28]` in [0, 1], framed as MNIST frames its digits.

    Args:
        images: digits, `[N, 1, 28, 28]` in [0, 1].
        labels: the digit of each image, 0 to 9, `[N]`.
        n: the number of altered digits.
        random: the source of all draws.
    """
    digits = Digits(images, labels, random)
    alterations = (digits.mirrored, digits.turned, digits.joined, digits.side_by_side, digits.cut, digits.written_over)
    chosen: list[Callable[[], Levels]] = [alterations[i] for i in random.integers(len(alterations), size=n)]
    return torch.stack([framed(Image.fromarray(alter())) for alter in chosen])


class Digits:
    """The digits to alter, and the source of random draws. Each method returns one picture, `[28, 28]`."""

    def __init__(self, images: Tensor, labels: Tensor, random: Random) -> None:
        self._levels: Levels = images[:, 0].mul(255).round().byte().numpy()
        self._labels, self._random = labels.numpy(), random

    def mirrored(self) -> Levels:
        """Exchange left and right, or top and bottom."""
        if self._random.random() < 0.5:
            return self._any_of(MIRRORED_LEFT_RIGHT)[:, ::-1].copy()
        return self._any_of(MIRRORED_TOP_DOWN)[::-1].copy()

    def turned(self) -> Levels:
        """Turn a digit by a quarter to the left or to the right."""
        return np.rot90(self._any_of(TURNED), self._random.choice([1, 3])).copy()

    def joined(self) -> Levels:
        """Join the half of one digit and the opposite half of another."""
        first, second = self._two()
        if self._random.random() < 0.5:
            return np.concatenate([first[: SIDE // 2], second[SIDE // 2 :]])
        return np.concatenate([first[:, : SIDE // 2], second[:, SIDE // 2 :]], axis=1)

    def side_by_side(self) -> Levels:
        """Write two digits beside each other."""
        left, right = (_without_margin(levels) for levels in self._two())
        gap = np.zeros((SIDE, int(self._random.integers(0, 4))), np.uint8)
        return np.concatenate([left, gap, right], axis=1)

    def cut(self) -> Levels:
        """Cut a piece out of a digit where it has much ink."""
        while True:
            levels = self._any_of(tuple(range(10))).copy()
            ink = int(levels.sum(dtype=np.int64))
            height, width = self._random.integers(MIN_CUT_PX, MAX_CUT_PX + 1, 2)
            top, left = (self._random.integers(4, SIDE - 4 - side) for side in (height, width))
            levels[top : top + height, left : left + width] = 0
            left_over = int(levels.sum(dtype=np.int64)) / ink
            if 0.3 < left_over < 1 - MIN_CUT_SHARE:
                return levels

    def written_over(self) -> Levels:
        """Write a drawing over a digit."""
        drawing = pen_drawings(1, self._random)[0, 0].mul(255).byte().numpy()
        return np.maximum(self._any_of(tuple(range(10))), drawing)

    def _any_of(self, digits: tuple[int, ...]) -> Levels:
        """Draw an image of one of the digits."""
        while True:
            place = self._random.integers(len(self._levels))
            if self._labels[place] in digits:
                return self._levels[place]

    def _two(self) -> tuple[Levels, Levels]:
        """Draw images of two different digits."""
        first, second = self._random.choice(10, 2, replace=False)
        return self._any_of((first,)), self._any_of((second,))


def _without_margin(levels: Levels) -> Levels:
    """Leave out the columns at both sides that have no ink."""
    columns = np.flatnonzero(levels.any(axis=0))
    return levels[:, columns[0] : columns[-1] + 1]
