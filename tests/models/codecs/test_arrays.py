import re
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from models.cancellation import WorkAbandoned, watch_caller
from models.codecs import arrays, number_lists
from models.codecs.arrays import MAX_PROBLEMS, array_from_json, batch_from_json, check_range
from models.errors import InvalidItems

SHAPES = [(1, 2, 3), (2, 3), (6,)]


def nested(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture(params=[2, None], ids=["in parts", "as a whole"])
def n_at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Convert lists of numbers two at a time, or all at once."""
    number = request.param or number_lists.N_NUMBERS_AT_ONCE
    with (
        mock.patch.object(arrays, "N_NUMBERS_AT_ONCE", number),
        mock.patch.object(number_lists, "N_NUMBERS_AT_ONCE", number),
    ):
        yield


@pytest.mark.usefixtures("n_at_once")
@pytest.mark.parametrize(
    "values",
    [
        True,
        "x",
        None,
        {},
        1.5,
        [True],
        [1, True],
        [[1], [2, 3]],
        [[1], 2],
        [1, [2]],
        ["1"],
        [None],
        [10**400],
        [[], [1]],
        [[[1], [2, 3, 4]], [[1, 2], [3]]],
        [[1, 2], [3, [4]]],
        [[1, 2, 3], [4, 5, "6"]],
        [[1, 2, 3], [4, 5, 10**400]],
        [[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]],
    ],
)
def test_values_that_are_not_rectangular_numbers_are_none(values: object) -> None:
    assert array_from_json(values) is None


@given(
    nps.arrays(np.float64, nps.array_shapes(max_dims=4, max_side=4), elements=st.floats(allow_nan=False)),
    st.sampled_from([1, 2, 3, 2**14]),
)
def test_nested_lists_of_numbers_are_arrays(array: NDArray[np.float64], n_at_once: int) -> None:
    with (
        mock.patch.object(arrays, "N_NUMBERS_AT_ONCE", n_at_once),
        mock.patch.object(number_lists, "N_NUMBERS_AT_ONCE", n_at_once),
    ):
        read = array_from_json(array.tolist())
    assert read is not None
    np.testing.assert_array_equal(read, array)


def test_many_numbers_are_converted_as_few_are() -> None:
    array = np.arange(60_000.0).reshape(3, 20_000)
    gaps: list[list[float | None]] = [*array.tolist()]
    gaps[1][7] = None
    read = array_from_json(gaps, gaps=True)
    assert array_from_json(gaps) is None
    array[1, 7] = np.nan
    assert read is not None
    np.testing.assert_array_equal(read, array)


def test_the_conversion_of_many_numbers_ends_once_the_caller_has_left() -> None:
    watch_caller(lambda: True)
    try:
        assert array_from_json([1.0] * 100) is not None
        with pytest.raises(WorkAbandoned):
            array_from_json([1.0] * 100_000)
    finally:
        watch_caller(None)


@pytest.mark.parametrize("shape", SHAPES)
def test_single_items_and_lists_of_items_are_batches(shape: tuple[int, ...]) -> None:
    item = np.arange(6.0).reshape(shape)
    np.testing.assert_array_equal(
        batch_from_json(item.tolist(), SHAPES, max_items=3), np.arange(6.0).reshape(1, 1, 2, 3)
    )
    assert batch_from_json([item.tolist()] * 3, SHAPES, max_items=3).shape == (3, 1, 2, 3)


def test_items_of_different_shapes_share_a_batch() -> None:
    flat, nested = [0.0] * 6, [[0.0] * 3] * 2
    assert batch_from_json([flat, nested], SHAPES, max_items=3).shape == (2, 1, 2, 3)


@pytest.mark.parametrize(
    ("values", "index", "message"),
    [
        (5, None, "a number is not an item"),
        ({}, None, "an object is not an item"),
        ([], None, "0 items; a request takes 1 to 3"),
        ([0.0] * 5, None, "the shape is [5]; expected numbers of shape [1, 2, 3] or [2, 3] or [6]"),
        ([0.0] * 5 + [None], None, "the item holds null"),
        ([[0.0] * 6, [0.0] * 5], 1, "the shape is [5]"),
        ([[0.0] * 6, [[0.0] * 3, [0.0] * 2]], 1, "the item holds lists of unequal length"),
        ([[0.0] * 6, [0.0, [1.0], 2.0]], 1, "the item holds lists of unequal length"),
        ([[0.0] * 6, [[0.0, "x", 0.0]] * 2], 1, "the item holds a string"),
        ([[0.0] * 6, True], 1, "the item is a boolean"),
        ([[0.0] * 6, 0.5], 1, "the item is a number"),
        ([{"a": 1}, [0.0] * 6], 0, "the item is an object"),
        ([{"a": 1}], 0, "the item is an object"),
        ([None, [0.0] * 6], 0, "the item is null"),
        ([b"GIF"], None, "the item holds an encoded image"),
        ([[0.0] * 6, [10**400] * 6], 1, "the item holds an integer of 1329 bits, which is beyond the largest number"),
        ([[0.0] * 6, nested(900)], 1, "the item holds lists nested more than 16 deep"),
        ([[0.0] * 6] * 4, None, "4 items; a request takes 1 to 3"),
        ([[0.0] * 6, None, None, None], None, "4 items; a request takes 1 to 3"),
    ],
)
def test_errors_name_the_item_and_the_reason(values: object, index: int | None, message: str) -> None:
    with pytest.raises(InvalidItems, match=re.escape(message)) as error:
        batch_from_json(values, SHAPES, max_items=3)
    assert error.value.problems[0].index == index


def test_a_gap_is_not_what_is_wrong_where_gaps_are_allowed() -> None:
    with pytest.raises(InvalidItems, match="the item holds a string") as error:
        batch_from_json([[None, "x", 0.0, 0.0, 0.0, 0.0]], SHAPES, max_items=3, gaps=True)
    assert error.value.problems[0].index == 0


@pytest.mark.parametrize("value", [1.0000001, np.nextafter(1.0, 2.0), np.float32(1.0000001), -1e-320])
def test_a_number_just_outside_is_shown_as_it_is(value: float) -> None:
    with pytest.raises(InvalidItems) as error:
        check_range(np.array([[0.5, value]]), 0.0, 1.0)
    shown = str(error.value).split()[2]
    assert float(shown) == pytest.approx(float(value), rel=1e-5)
    assert not 0 <= float(shown) <= 1


def test_the_number_of_items_that_an_error_names_is_limited() -> None:
    with pytest.raises(InvalidItems) as error:
        batch_from_json([[0.0] * 6] + [None] * 100, SHAPES, max_items=1000)
    assert len(error.value.problems) == MAX_PROBLEMS + 1
    assert error.value.problems[-1].index is None
    with pytest.raises(InvalidItems) as error:
        check_range(np.full((100, 2), 2.0), 0, 1)
    assert len(error.value.problems) == MAX_PROBLEMS + 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.0001, -0.0001])
def test_an_error_names_the_value_out_of_range_and_its_index(value: float) -> None:
    batch = np.full((3, 2, 2), 0.5)
    batch[1, 1, 0] = value
    with pytest.raises(InvalidItems, match=re.escape(f"the value {value:g} at [1, 0]")) as error:
        check_range(batch, 0, 1)
    assert [problem.index for problem in error.value.problems] == [1]


def test_the_limits_themselves_are_in_range() -> None:
    check_range(np.array([[0.0, 1.0]]), 0, 1)
