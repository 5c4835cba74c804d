"""Large nested lists of numbers as arrays, in parts, so that no call into C holds the interpreter's lock for long."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cancellation import stop_if_abandoned

N_NUMBERS_AT_ONCE = 2**14
"""Number of numbers that are converted by one call, in about half a millisecond."""


def array_in_parts(values: list[Any], allowed: set[type]) -> NDArray[np.float64] | None:
    """Return nested lists of numbers as an array; None if they are not rectangular or hold a value of another type.

    Raises:
        OverflowError: an integer is beyond the largest number.
        WorkAbandoned: the caller has left.
    """
    shape, runs = split_lists(values)
    parts: list[NDArray[np.float64]] = []
    for numbers in runs:
        stop_if_abandoned()
        if numbers is None or not set(map(type, numbers)) <= allowed:
            return None
        parts.append(np.array(numbers, dtype=np.float64))
    return np.concatenate(parts).reshape(shape)


def split_lists(values: list[Any]) -> tuple[tuple[int, ...], Iterator[list[Any] | None]]:
    """Return the shape that nested lists begin with, and their elements, about `N_NUMBERS_AT_ONCE` at a time.

    Among these parts there is a None where the lists do not fit the shape.
    """
    shape: list[int] = []
    first: Any = values
    while type(first) is list:
        shape.append(len(first))
        first = first[0] if first else None
    return tuple(shape), _runs(_innermost(values, shape))


def are_many(values: list[Any]) -> bool:
    """Return whether nested lists have more than `N_NUMBERS_AT_ONCE` elements, those that are lists included."""
    count, lists = 0, [values]
    while lists and count <= N_NUMBERS_AT_ONCE:
        elements = lists.pop()
        count += len(elements)
        if count <= N_NUMBERS_AT_ONCE:
            lists += [each for each in elements if type(each) is list]
    return count > N_NUMBERS_AT_ONCE


def _innermost(values: Any, shape: Sequence[int]) -> Iterator[list[Any] | None]:
    """Yield the innermost of nested lists, and None for one that does not fit the shape."""
    if type(values) is not list or len(values) != shape[0]:
        yield None
    elif len(shape) == 1:
        yield values
    else:
        for each in values:
            yield from _innermost(each, shape[1:])


def _runs(lists: Iterator[list[Any] | None]) -> Iterator[list[Any] | None]:
    """Yield the elements of lists in their order, about `N_NUMBERS_AT_ONCE` at a time; None after one that is None."""
    run: list[Any] = []
    for each in lists:
        if each is None:
            yield None
        elif len(each) <= N_NUMBERS_AT_ONCE:
            run += each
        else:
            yield run
            run = []
            for start in range(0, len(each), N_NUMBERS_AT_ONCE):
                yield each[start : start + N_NUMBERS_AT_ONCE]
        if len(run) >= N_NUMBERS_AT_ONCE:
            yield run
            run = []
    yield run
