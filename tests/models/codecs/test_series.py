import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from models.codecs.arrays import Limits
from models.codecs.series import SeriesCodec
from models.errors import InvalidItems

ONE = SeriesCodec(length=5, max_length=8, means=(10.0,), deviations=(2.0,))
TWO = SeriesCodec(length=5, max_length=8, means=(10.0, 0.0), deviations=(2.0, 0.5))
LIMITS = Limits(max_items=4, max_pixels=10_000)

values = st.floats(-1e4, 1e4, width=32)


@given(st.lists(st.lists(values, min_size=1, max_size=8), min_size=1, max_size=4))
def test_series_of_several_lengths_come_back_in_their_unit(series: list[list[float]]) -> None:
    items = ONE.decode(series, LIMITS)
    assert [item.shape for item in items] == [(len(one), 1) for one in series]
    for item, one in zip(items, series, strict=True):
        np.testing.assert_allclose(item[:, 0], (np.array(one) - 10) / 2, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ONE.encode(item.numpy()), one, rtol=1e-5, atol=1e-3)


@given(nps.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 8), st.just(2)), elements=values))
def test_arrays_and_lists_are_read_alike(array: NDArray[np.float32]) -> None:
    for one, other in zip(TWO.decode(array, LIMITS), TWO.decode(array.tolist(), LIMITS), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(TWO.decode(array[0].tolist(), LIMITS)[0], TWO.decode(array[0], LIMITS)[0])


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 5, 1)])
def test_one_channel_needs_no_dimension(shape: tuple[int, ...]) -> None:
    array = np.arange(5.0).reshape(shape)
    (item,) = ONE.decode(array, LIMITS)
    assert item.shape == (5, 1)
    (listed,) = ONE.decode(array.tolist(), LIMITS)
    np.testing.assert_array_equal(item, listed)
    assert ONE.encode(item.numpy()).shape == (5,)


def test_gaps_are_welcome_only_where_they_are_asked_for() -> None:
    (item,) = ONE.decode([[12.0, None, 8.0]], LIMITS, gaps=True)
    assert item[:, 0].isnan().tolist() == [False, True, False]
    assert item[0].item() == 1
    with pytest.raises(InvalidItems, match="something other than numbers"):
        ONE.decode([[12.0, None, 8.0]], LIMITS)


@pytest.mark.parametrize(
    ("codec", "wrong", "message"),
    [
        (ONE, [[]], r"shape is \[0\]; expected a series of 1 to 8 numbers"),
        (ONE, [[1.0] * 9], r"shape is \[9\]"),
        (ONE, [[[1.0, 2.0]]], r"expected a series of 1 to 8 numbers"),
        (ONE, [["a"]], "something other than numbers"),
        (ONE, [[1.0, float("nan")]], "nan"),
        (ONE, [[1.0, float("inf")]], "inf"),
        (ONE, {"a": 1}, "no list"),
        (ONE, [[1.0]] * 5, "5"),
        (ONE, np.zeros((2, 5), np.uint8), "uint8"),
        (ONE, np.zeros((2, 9)), r"shape is \[9"),
        (TWO, [[[1.0], [2.0]]], "1 to 8 steps of 2 numbers"),
        (TWO, [[1.0, 2.0, 3.0]], "1 to 8 steps of 2 numbers"),
        (TWO, np.zeros(5), r"shape is \[5\]"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(codec: SeriesCodec, wrong: object, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        codec.decode(wrong, LIMITS)


def test_every_bad_series_of_a_request_is_named() -> None:
    with pytest.raises(InvalidItems) as refused:
        ONE.decode([[1.0], [], [1.0], ["a"]], LIMITS)
    assert [problem.index for problem in refused.value.problems] == [1, 3]
