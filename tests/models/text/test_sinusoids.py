"""Position embeddings are the sines and cosines of the paper, all sines first."""

import math

import pytest

from models.text.sinusoids import sinusoids


@pytest.mark.parametrize("width", [2, 6, 8])
def test_elements_are_sines_and_then_cosines_of_rising_wavelength(width: int) -> None:
    table = sinusoids(9, width)
    assert table.shape == (9, width)
    for position in (0, 1, 8):
        angles = [position / 10_000 ** (2 * i / width) for i in range(width // 2)]
        expected = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        assert table[position].tolist() == pytest.approx(expected)
