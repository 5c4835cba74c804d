"""Numbers from clients as arrays. They are checked as a whole in C, and item by item only once something is wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.codecs.number_lists import N_NUMBERS_AT_ONCE, array_in_parts
from models.errors import InvalidItems, Problem

Shape = tuple[int, ...]
Floats = NDArray[np.floating[Any]]

_MAX_DEPTH = 16
"""Maximum depth of nested lists that is searched for the reason of an error."""
MAX_EXPONENT = 1023
"""Maximum number of bits of an integer that is certainly a finite float64."""
MAX_FLOAT32 = float(np.finfo(np.float32).max)
MAX_PROBLEMS = 16
"""Maximum number of invalid items that an error names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one request.

    Attributes:
        max_items: maximum number of items.
        max_pixels: maximum number of pixels of all encoded images together.
        max_characters: maximum number of characters of a text.
        max_seconds: maximum length of all sounds together, in seconds.
    """

    max_items: int
    max_pixels: int
    max_characters: int = 2**20
    max_seconds: float = 30.0


class ArrayCodec:
    """Base of codecs whose items look the same to clients and to models: the same shape, the same unit.

    Attributes:
        value_range: smallest and largest value of an element; infinite if there is no limit.
        stored_bits: size of an element before compression, in bits.
        has_columns: whether items are made of named columns.
    """

    __slots__ = ()

    value_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    stored_bits: ClassVar[int] = 32
    has_columns: ClassVar[bool] = False

    def to_client_shape(self, array: Floats) -> Floats:
        """Return an array that has the shape of an item in the shape that clients see."""
        return array

    def encode(self, item: Floats) -> Floats:
        """Return an item in the shape and the unit that clients see."""
        return item


def array_from_json(values: object, *, gaps: bool = False) -> NDArray[np.float64] | None:
    """Return nested lists of JSON numbers as an array, or None if they are not rectangular or contain anything else.

    Booleans are not numbers. With `gaps`, null is allowed and becomes NaN. NaN, which some clients write although JSON
    does not have it, stays NaN.
    """
    if type(values) is not list:
        return None
    allowed = {int, float, type(None)} if gaps else {int, float}
    leaves: list[Any] = values
    n_leaves = len(leaves)
    try:
        while n_leaves <= N_NUMBERS_AT_ONCE and leaves and type(leaves[0]) is list:
            n_leaves = sum(map(len, leaves))
            leaves = list(chain.from_iterable(leaves)) if n_leaves <= N_NUMBERS_AT_ONCE else leaves
        if n_leaves > N_NUMBERS_AT_ONCE:
            return array_in_parts(values, allowed)
        if not set(map(type, leaves)) <= allowed:
            return None
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def batch_from_json(
    values: object, shapes: Sequence[Shape], *, max_items: int, gaps: bool = False
) -> NDArray[np.float64]:
    """Return one item or a list of items as a batch `[n, *shapes[0]]`.

    An item may have any of the shapes, which all have the same number of elements. With `gaps`, null or NaN
    stands for a missing number and becomes NaN.

    Raises:
        InvalidItems: the values are not numbers, are not rectangular or have another shape, or there are no items or
            more than `max_items`.
    """
    if values == []:
        check_count(0, max_items)
    array = array_from_json(values, gaps=gaps)
    if array is None:
        return _batch_item_by_item(values, shapes, max_items=max_items, gaps=gaps)
    return batch_from_array(array, shapes, max_items=max_items)


def batch_from_array(array: NDArray[Any], shapes: Sequence[Shape], *, max_items: int) -> NDArray[Any]:
    """Return one item or several as a batch `[n, *shapes[0]]`, under the conditions of `batch_from_json`."""
    if array.shape in shapes:
        return array.reshape(1, *shapes[0])
    if array.ndim == 0 or array.shape[1:] not in shapes:
        raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {_expected(shapes)}"))
    check_count(len(array), max_items)
    return array.reshape(-1, *shapes[0])


def item_from_json(value: object, shapes: Sequence[Shape], *, gaps: bool = False) -> NDArray[np.float64]:
    """Return one item as an array of the shape `shapes[0]`, under the conditions of `batch_from_json`."""
    array = array_from_json(value, gaps=gaps)
    if array is None:
        raise InvalidItems(Problem(f"the item {describe_fault(value, gaps=gaps)}; {_expected(shapes)}"))
    if array.shape not in shapes:
        raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {_expected(shapes)}"))
    return array.reshape(shapes[0])


def check_count(n_items: int, max_items: int) -> None:
    """Raise InvalidItems unless there are 1 to `max_items` items."""
    if not 1 <= n_items <= max_items:
        raise InvalidItems(Problem(f"{n_items} items; a request takes 1 to {max_items}"))


def check_range(batch: Floats, low: float, high: float, *, gaps: bool = False, note: str = "") -> None:
    """Raise InvalidItems, which names the items, if an element of `[n, …]` is NaN or outside of [`low`, `high`].

    With `gaps`, NaN is allowed. `note` follows the limits in the error.
    """
    if batch.size and low <= batch.min() and batch.max() <= high:
        return
    is_outside = ~((batch >= low) & (batch <= high) | (gaps & np.isnan(batch)))
    if not is_outside.any():
        return
    invalid = np.flatnonzero(is_outside.reshape(len(batch), -1).any(axis=1))
    problems = []
    for i in invalid[: MAX_PROBLEMS + 1].tolist():
        index = np.argwhere(is_outside[i])[0]
        value = batch[i][tuple(index)]
        limit = f"lies outside [{low:g}, {high:g}]{note}" if np.isfinite(value) else "is not a finite number"
        short = f"{value:g}"
        shown = short if float(short) == value or np.isnan(value) else str(value)  # 1.0000001 is not shown as 1
        problems.append(Problem(f"the value {shown} at {index.tolist()} {limit}", i))
    raise InvalidItems(*limit_problems(problems))


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first place of each run of true values in `[n]`, and the one behind its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def limit_problems(problems: list[Problem]) -> list[Problem]:
    """Return the first `MAX_PROBLEMS` problems and, if there are more, a last one that says so."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], Problem(f"more items are refused; the first {MAX_PROBLEMS} are named")]


def _batch_item_by_item(values: object, shapes: Sequence[Shape], *, max_items: int, gaps: bool) -> NDArray[np.float64]:
    """Return a batch of items in different shapes, or raise InvalidItems, which names the invalid ones.

    This is slow, and only called with values that cannot be converted as a whole.
    """
    if type(values) is not list or not values:
        raise InvalidItems(Problem(f"{_describe(values)} is not an item; {_expected(shapes)}"))
    if is_single_item(values):
        raise InvalidItems(Problem(f"the item {describe_fault(values, gaps=gaps)}; {_expected(shapes)}"))
    check_count(len(values), max_items)
    batch: list[NDArray[np.float64]] = []
    problems: list[Problem] = []
    for i, value in enumerate(values):
        try:
            batch.append(item_from_json(value, shapes, gaps=gaps))
        except InvalidItems as error:
            problems += [Problem(problem.detail, i) for problem in error.problems]
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise InvalidItems(*limit_problems(problems))
    return np.stack(batch)


def _expected(shapes: Sequence[Shape]) -> str:
    return "expected numbers of shape " + " or ".join(str(list(shape)) for shape in shapes)


def is_single_item(values: list[Any]) -> bool:
    """Return whether a list is one flat item: it begins with a number, or has neither lists nor objects as items."""
    return type(values[0]) in (int, float) or not any(type(value) in (list, dict) for value in values)


def describe_fault(value: object, *, gaps: bool = False) -> str:
    """Say what is wrong with an item that is no array, as the end of a sentence about it: `holds a string`.

    With `gaps`, null counts as a number.
    """
    if type(value) is not list:
        return f"is {_describe(value)}"
    numbers = (int, float, type(None)) if gaps else (int, float)
    level: list[Any] = value
    for _ in range(_MAX_DEPTH):
        for element in level:
            if type(element) is not list and type(element) not in numbers:
                return f"holds {_describe(element)}"
            if type(element) is int and element.bit_length() > MAX_EXPONENT:
                return f"holds an integer of {element.bit_length()} bits, which is beyond the largest number"
        level = [inner for element in level if type(element) is list for inner in element]
        if not level:
            return "holds lists of unequal length"
    return f"holds lists nested more than {_MAX_DEPTH} deep"


def _describe(value: object) -> str:
    names: dict[type, str] = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object"}
    names |= {list: "an empty list", bytes: "an encoded image"}
    return names.get(type(value), "a number")
