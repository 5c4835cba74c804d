import re
from typing import Literal

import numpy as np
import pytest

from models.codecs.arrays import Limits
from models.codecs.vector import VectorCodec
from models.errors import InvalidItems

CODEC = VectorCodec((3,))


def test_numbers_and_arrays_are_vectors() -> None:
    (item,) = CODEC.decode([1, -2, 3.5], Limits(max_items=1, max_pixels=10_000))
    assert item.tolist() == [1, -2, 3.5]
    assert len(CODEC.decode(np.zeros((4, 3)), Limits(max_items=4, max_pixels=10_000))) == 4


@pytest.mark.parametrize("order", ["C", "F"])
def test_tensors_are_contiguous_doubles(order: Literal["C", "F"]) -> None:
    array = np.full((2, 3, 4), 3e38, order=order)
    for item in VectorCodec((3, 4)).decode(array, Limits(max_items=2, max_pixels=10_000)):
        assert item.is_contiguous()
        assert item.square().isfinite().all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 2, 1e39]], "lies outside"),
        ([[1, 2, float("nan")]], "the value nan at [2] is not a finite number"),
        (np.zeros((1, 3), np.uint8), "a uint8 array means pixels"),
        ("text", "a string is not an item"),
        (b"bytes", "is not an item"),
    ],
)
def test_other_values_are_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidItems, match=re.escape(message)):
        CODEC.decode(value, Limits(max_items=1, max_pixels=10_000))
