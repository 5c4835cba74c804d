"""Numbers from outside, checked as a whole in C and only searched item by item once something is wrong."""

import io
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidItems, Problem, UndecodableItems

Shape = tuple[int, ...]
Floats = NDArray[np.floating[Any]]

NPY_DTYPES = ("float32", "float64", "uint8")
MAX_PROBLEMS = 16
"""Refused items named in one error; the rest are only counted."""


def parse_npy(data: bytes) -> NDArray[Any]:
    """Read a `.npy` file of one of `NPY_DTYPES`, without a copy and without trusting its header.

    Raises:
        UndecodableItems: not a `.npy` file, another dtype, or a body that is not as long as its header says.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except (ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError, OverflowError):
        raise UndecodableItems(Problem("the body is not a .npy file of version 1.0 or 2.0")) from None
    if dtype.name not in NPY_DTYPES:
        raise UndecodableItems(Problem(f"the array has dtype {dtype.name}; accepted are {', '.join(NPY_DTYPES)}"))
    expected, actual = prod(shape) * dtype.itemsize, len(data) - file.tell()
    if min(shape, default=0) < 0 or expected != actual:
        raise UndecodableItems(
            Problem(f"the array of shape {list(shape)} needs {expected} bytes, the body has {actual}")
        )
    array = np.frombuffer(data, dtype=dtype, offset=file.tell())
    return array.reshape(shape, order="F" if fortran_order else "C")


def to_npy(array: NDArray[Any]) -> bytes:
    """The bytes of a `.npy` file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def numbers(values: object) -> NDArray[np.float64] | None:
    """A rectangular nest of lists of JSON numbers as an array; None for anything else, booleans included."""
    if type(values) is not list:
        return None
    leaves: list[Any] = values
    try:
        while leaves and type(leaves[0]) is list:
            leaves = list(chain.from_iterable(leaves))
        if not set(map(type, leaves)) <= {int, float}:
            return None
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def batch_of_numbers(values: object, shapes: Sequence[Shape], *, max_items: int) -> NDArray[np.float64]:
    """One bare item or a list of them as `[n, *shapes[0]]`; an item may have any of `shapes`, of equal size.

    Raises:
        InvalidItems: not numbers, not rectangular, another shape, or more than `max_items`.
    """
    array = numbers(values)
    if array is None:
        return _batch_item_by_item(values, shapes, max_items=max_items)
    return batch_of_array(array, shapes, max_items=max_items)


def batch_of_array(array: NDArray[Any], shapes: Sequence[Shape], *, max_items: int) -> NDArray[Any]:
    """One bare item or a batch of them as `[n, *shapes[0]]`; see `batch_of_numbers`."""
    if array.shape in shapes:
        return array.reshape(1, *shapes[0])
    if array.ndim == 0 or array.shape[1:] not in shapes:
        raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {_expected(shapes)}"))
    check_count(len(array), max_items)
    return array.reshape(-1, *shapes[0])


def check_count(n_items: int, max_items: int) -> None:
    """Raise InvalidItems unless there is at least one item and at most `max_items`."""
    if not 1 <= n_items <= max_items:
        raise InvalidItems(Problem(f"{n_items} items; a request takes 1 to {max_items}"))


def check_range(batch: Floats, low: float, high: float) -> None:
    """Raise InvalidItems, naming the items, if any element of `[n, ...]` is NaN or outside [`low`, `high`]."""
    if batch.size and low <= batch.min() and batch.max() <= high:
        return
    outside = ~((batch >= low) & (batch <= high))
    guilty = np.flatnonzero(outside.reshape(len(batch), -1).any(axis=1))
    raise InvalidItems(
        *limited([_range_problem(batch, outside, int(i), low, high) for i in guilty[: MAX_PROBLEMS + 1]])
    )


def limited(problems: list[Problem]) -> list[Problem]:
    """The first `MAX_PROBLEMS`, and a line that says there are more."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], Problem(f"more items are refused; the first {MAX_PROBLEMS} are named")]


def _range_problem(batch: Floats, outside: NDArray[np.bool_], i: int, low: float, high: float) -> Problem:
    place = np.argwhere(outside[i])[0]
    value = batch[i][tuple(place)]
    limit = f"lies outside [{low:g}, {high:g}]" if np.isfinite(value) else "is not a finite number"
    return Problem(f"the value {value:g} at {place.tolist()} {limit}", int(i))


def _batch_item_by_item(values: object, shapes: Sequence[Shape], *, max_items: int) -> NDArray[np.float64]:
    """Only reached when `values` as a whole are no array: says which item is to blame, and why."""
    if type(values) is not list or not values:
        raise InvalidItems(Problem(f"{_kind(values)} is not an item; {_expected(shapes)}"))
    if type(values[0]) is not list:
        raise InvalidItems(Problem(f"the item holds {_stranger(values)}; {_expected(shapes)}"))
    check_count(len(values), max_items)
    batch: list[NDArray[np.float64]] = []
    problems: list[Problem] = []
    for i, value in enumerate(values):
        array = numbers(value)
        if array is None:
            problems.append(Problem(f"the item holds {_stranger(value)}; {_expected(shapes)}", i))
        elif array.shape not in shapes:
            problems.append(Problem(f"the shape is {list(array.shape)}; {_expected(shapes)}", i))
        else:
            batch.append(array.reshape(shapes[0]))
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise InvalidItems(*limited(problems))
    return np.stack(batch)


def _expected(shapes: Sequence[Shape]) -> str:
    return "expected numbers of shape " + " or ".join(str(list(shape)) for shape in shapes)


def _stranger(value: object) -> str:
    """Names the first thing in a nest of lists that is not a number, or the raggedness of it."""
    if type(value) is not list:
        return _kind(value)
    for element in value:
        if type(element) is list:
            found = _stranger(element)
            if found != "lists of unequal length":
                return found
        elif type(element) not in (int, float):
            return _kind(element)
    return "lists of unequal length"


def _kind(value: object) -> str:
    names = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an empty list"}
    return names.get(type(value), "a number")
