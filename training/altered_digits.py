"""Digits that were altered until they are none: mirrored, turned, written beside others or written over.

Digits of which a piece was cut out, or that were joined from the halves of two, are not among them. Too many of them
can still be read, so that a classifier of outliers that has learned them takes unusual digits for outliers.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.drawings import SIDE, Random, framed, pen_drawings

Levels = NDArray[np.uint8]
"""A picture, `[28, 28]`."""

ALL = tuple(range(10))
MIRRORED_LEFT_RIGHT = (3, 4, 6, 7, 9)
"""Digits that are none in the mirror. The others look like themselves or, as 2 and 5, like one another."""
MIRRORED_TOP_DOWN = (4, 6, 7, 9)
"""Digits that are none upside down in the mirror, which 3 is like."""
TURNED = (2, 3, 4, 5, 6, 7, 9)
"""Digits that are none when they lie on their side; 0 and 8 may be narrow or wide, and 1 may be slanted."""


def altered_digits(images: Tensor, labels: Tensor, n: int, random: Random) -> Tensor:
    """Return altered digits, `[n, 1, 28, 28]` in [0, 1], framed as MNIST frames its digits.

    Args:
        images: digits, `[N, 1, 28, 28]` in [0, 1].
        labels: the digit of each image, 0 to 9, `[N]`.
        n: the number of altered digits.
        random: the source of all draws.
    """
    digits = Digits(images, labels, random)
    alterations = (digits.mirrored, digits.turned, digits.side_by_side, digits.written_over)
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

    def side_by_side(self) -> Levels:
        """Write two digits beside each other."""
        left, right = (_without_margin(self._any_of(ALL)) for _ in range(2))
        gap = np.zeros((SIDE, int(self._random.integers(0, 4))), np.uint8)
        return np.concatenate([left, gap, right], axis=1)

    def written_over(self) -> Levels:
        """Write a drawing over a digit."""
        drawing = pen_drawings(1, self._random)[0, 0].mul(255).byte().numpy()
        levels: Levels = np.maximum(self._any_of(ALL), drawing)
        return levels

    def _any_of(self, digits: tuple[int, ...]) -> Levels:
        """Draw an image of one of the digits."""
        while True:
            place = self._random.integers(len(self._levels))
            if self._labels[place] in digits:
                levels: Levels = self._levels[place]
                return levels


def _without_margin(levels: Levels) -> Levels:
    """Leave out the columns at both sides that have no ink."""
    columns = np.flatnonzero(levels.any(axis=0))
    inked: Levels = levels[:, columns[0] : columns[-1] + 1]
    return inked
