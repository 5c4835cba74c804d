from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from models.codecs.arrays import Limits
from models.codecs.series import SeriesCodec
from models.errors import InvalidItems

ONE_CHANNEL = SeriesCodec(length=5, max_length=8, means=(10.0,), deviations=(2.0,))
TWO_CHANNELS = SeriesCodec(length=5, max_length=8, means=(10.0, 0.0), deviations=(2.0, 0.5))
LIMITS = Limits(max_items=4, max_pixels=10_000)

numbers = st.floats(-1e4, 1e4, width=32)


@given(st.lists(st.lists(numbers, min_size=1, max_size=8), min_size=1, max_size=4))
def test_series_of_different_lengths_survive_the_round_trip(series: list[list[float]]) -> None:
    items = ONE_CHANNEL.decode([[[value] for value in values] for values in series], LIMITS)
    assert [item.shape for item in items] == [(len(values), 1) for values in series]
    for item, values in zip(items, series, strict=True):
        np.testing.assert_allclose(item[:, 0], (np.array(values) - 10) / 2, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ONE_CHANNEL.encode(item.numpy()), values, rtol=1e-5, atol=1e-3)


@given(nps.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 8), st.just(2)), elements=numbers))
def test_arrays_and_lists_give_equal_series(array: NDArray[np.float32]) -> None:
    listed = TWO_CHANNELS.decode(array.tolist(), LIMITS)
    for item, expected in zip(TWO_CHANNELS.decode(array, LIMITS), listed, strict=True):
        np.testing.assert_array_equal(item, expected)
    np.testing.assert_allclose(
        TWO_CHANNELS.decode(array[0].tolist(), LIMITS)[0], TWO_CHANNELS.decode(array[0], LIMITS)[0]
    )


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 5, 1)])
def test_one_channel_needs_no_dimension(shape: tuple[int, ...]) -> None:
    array = np.arange(5.0).reshape(shape)
    (item,) = ONE_CHANNEL.decode(array, LIMITS)
    assert item.shape == (5, 1)
    (listed,) = ONE_CHANNEL.decode(array.tolist(), LIMITS)
    np.testing.assert_array_equal(item, listed)
    assert ONE_CHANNEL.encode(item.numpy()).shape == (5,)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_small_deviations_from_a_large_mean_survive_the_round_trip(values: list[float]) -> None:
    codec = SeriesCodec(length=5, max_length=8, means=(1e6,), deviations=(0.01,))
    series = [1e6 + 0.01 * value for value in values]
    (item,) = codec.decode([series], LIMITS)
    np.testing.assert_allclose(item[:, 0], values, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(codec.encode(item.numpy()), series, rtol=0, atol=1e-9)
    np.testing.assert_allclose(codec.encode(item.float().numpy()), series, rtol=0, atol=1e-6)


def test_what_is_not_normalised_is_not_changed() -> None:
    codec = SeriesCodec(length=5, max_length=8, means=(0.0,), deviations=(1.0,))
    item = np.array([[0.1], [3e38]], np.float32)
    assert codec.encode(item).dtype == np.float32
    np.testing.assert_array_equal(codec.encode(item), item[:, 0])


@pytest.mark.parametrize("order", ["C", "F"])
def test_tensors_are_contiguous(order: Literal["C", "F"]) -> None:
    array = np.zeros((2, 5, 2), order=order)
    assert all(item.is_contiguous() for item in TWO_CHANNELS.decode(array, LIMITS))


@pytest.mark.parametrize(
    ("values", "shapes"),
    [
        ([1.0, 2.0, 3.0], [3]),
        ([[1.0], [2.0], [3.0]], [3]),
        ([[1.0]], [1]),
        ([[1.0, 2.0]], [2]),
        ([[1.0], [2.0, 3.0]], [1, 2]),
        ([[1.0, 2.0], [3.0]], [2, 1]),
        ([[[1.0]], [[2.0]], [[3.0]]], [1, 1, 1]),
        ([[[1.0], [2.0]], [3.0, 4.0, 5.0]], [2, 3]),
        ([[1.0, 2.0], [[3.0]]], [2, 1]),
    ],
)
def test_a_list_whose_lists_have_one_number_each_is_one_series(values: list[Any], shapes: list[int]) -> None:
    assert [len(item) for item in ONE_CHANNEL.decode(values, LIMITS)] == shapes


@pytest.mark.parametrize(
    ("codec", "shape", "shapes"),
    [
        (ONE_CHANNEL, (5,), [5]),
        (ONE_CHANNEL, (5, 1), [5]),
        (ONE_CHANNEL, (1, 1), [1]),
        (ONE_CHANNEL, (3, 5), [5, 5, 5]),
        (ONE_CHANNEL, (3, 5, 1), [5, 5, 5]),
        (ONE_CHANNEL, (3, 1, 1), [1, 1, 1]),
        (TWO_CHANNELS, (5, 2), [5]),
        (TWO_CHANNELS, (2, 2), [2]),
        (TWO_CHANNELS, (3, 2, 2), [2, 2, 2]),
    ],
)
def test_lists_and_arrays_of_every_shape_are_split_alike(
    codec: SeriesCodec, shape: tuple[int, ...], shapes: list[int]
) -> None:
    array = np.random.default_rng(0).random(shape)
    for values in (array, array.tolist()):
        assert [len(item) for item in codec.decode(values, LIMITS)] == shapes


@pytest.mark.parametrize("as_array", [True, False])
def test_nan_is_a_gap_where_null_is_one(as_array: bool) -> None:
    values: Any = [[12.0, 1.0, 8.0], [1.0, float("nan"), 3.0]]
    values = np.array(values) if as_array else values
    _, item = ONE_CHANNEL.decode(values, LIMITS, gaps=True)
    assert item[:, 0].isnan().tolist() == [False, True, False]
    with pytest.raises(InvalidItems, match=r"the value nan at .* is not a finite number") as error:
        ONE_CHANNEL.decode(values, LIMITS)
    assert [problem.index for problem in error.value.problems] == [1]


def test_gaps_are_refused_unless_allowed() -> None:
    (item,) = ONE_CHANNEL.decode([[12.0, None, 8.0]], LIMITS, gaps=True)
    assert item[:, 0].isnan().tolist() == [False, True, False]
    assert item[0].item() == 1
    with pytest.raises(InvalidItems, match="the series holds null"):
        ONE_CHANNEL.decode([[12.0, None, 8.0]], LIMITS)


@pytest.mark.parametrize(
    ("codec", "wrong", "message"),
    [
        (ONE_CHANNEL, [[]], r"shape is \[0\]; expected a series of 1 to 8 numbers"),
        (ONE_CHANNEL, [[1.0] * 9], r"shape is \[9\]"),
        (ONE_CHANNEL, [[[1.0, 2.0]]], r"expected a series of 1 to 8 numbers"),
        (ONE_CHANNEL, [["a"]], "the series holds a string"),
        (ONE_CHANNEL, [[1.0], [10**400]], "the series holds an integer of 1329 bits"),
        (ONE_CHANNEL, [1.0, [2.0]], "the series holds lists of unequal length"),
        (ONE_CHANNEL, [[1.0, 2.0], 3.0], "the series is a number"),
        (ONE_CHANNEL, [None, [1.0, 2.0]], "the series is null"),
        (ONE_CHANNEL, [{"a": 1}], "the series is an object"),
        (ONE_CHANNEL, [b"GIF"], "the series holds an encoded image"),
        (ONE_CHANNEL, [[1.0, float("nan")]], "nan"),
        (ONE_CHANNEL, [[1.0, float("inf")]], "inf"),
        (ONE_CHANNEL, [[1.0, 1e300]], r"lies outside .* after normalisation"),
        (ONE_CHANNEL, {"a": 1}, "no list"),
        (ONE_CHANNEL, [[1.0, 2.0]] * 5, "5 items; a request takes 1 to 4"),
        (ONE_CHANNEL, [[1.0]] * 9, r"shape is \[9, 1\]"),
        (ONE_CHANNEL, [], "0 items"),
        (ONE_CHANNEL, np.zeros((0, 5)), "0 items"),
        (ONE_CHANNEL, np.zeros((2, 5), np.uint8), "uint8"),
        (ONE_CHANNEL, np.zeros((2, 9)), r"shape is \[9"),
        (TWO_CHANNELS, [[[1.0], [2.0]]], "1 to 8 steps of 2 numbers"),
        (TWO_CHANNELS, [[1.0, 2.0, 3.0]], "1 to 8 steps of 2 numbers"),
        (TWO_CHANNELS, np.zeros(5), r"shape is \[5\]"),
    ],
)
def test_errors_say_what_is_expected(codec: SeriesCodec, wrong: object, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        codec.decode(wrong, LIMITS)


def test_an_error_names_every_invalid_series() -> None:
    with pytest.raises(InvalidItems) as error:
        ONE_CHANNEL.decode([[1.0], [], [1.0], ["a"]], LIMITS)
    assert [problem.index for problem in error.value.problems] == [1, 3]
