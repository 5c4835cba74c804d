"""Numbers from outside, checked as a whole in C and only searched item by item once something is wrong."""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidItems, Problem, UndecodableItems

Shape = tuple[int, ...]
Floats = NDArray[np.floating[Any]]

_NPY_MAGIC = b"\x93NUMPY"
_NPY_VERSIONS = {b"\x01\x00": ("<H", 10), b"\x02\x00": ("<I", 12)}
_NPY_HEADER = re.compile(
    rb"\{'descr': '(?P<descr>[^']{1,16})', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:[0-9]{1,12}, ?){0,8}(?:[0-9]{1,12})?)\), \} *\n"  # each repetition needs its comma
)
_NPY_DTYPES: dict[bytes, np.dtype[Any]] = {b"<f4": np.dtype("<f4"), b"<f8": np.dtype("<f8"), b"|u1": np.dtype("u1")}
_MAX_NPY_HEADER = 1024
_MAX_DEPTH = 16
LARGEST = float(np.finfo(np.float32).max)
MAX_PROBLEMS = 16
"""Refused items named in one error; the rest are only counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one request may bring: items, pixels of all its encoded images together, characters of one text."""

    max_items: int
    max_pixels: int
    max_characters: int = 2**20


def parse_npy(data: bytes) -> NDArray[Any]:
    """Read a `.npy` file of float32, float64 or uint8, without a copy and without trusting its header.

    Source: numpy.lib.format, versions 1.0 and 2.0. The header is matched, never evaluated.

    Raises:
        UndecodableItems: not a `.npy` file, another dtype, a shape that no array has, or a body that is not as long as
            its header says.
    """
    length_format, header_at = _NPY_VERSIONS.get(data[6:8], ("", 0))
    if data[:6] != _NPY_MAGIC or not length_format or len(data) < header_at:
        raise UndecodableItems(Problem("the body is not a .npy file of version 1.0 or 2.0"))
    data_at = header_at + struct.unpack_from(length_format, data, 8)[0]
    header = _NPY_HEADER.fullmatch(data, header_at, min(data_at, header_at + _MAX_NPY_HEADER))
    if not header:
        raise UndecodableItems(Problem("the .npy header is not one that numpy.save writes for a plain array"))
    dtype = _NPY_DTYPES.get(header["descr"])
    if dtype is None:
        kind = header["descr"].decode("ascii", "replace")
        raise UndecodableItems(Problem(f"the array has dtype {kind}; accepted are float32, float64 and uint8"))
    shape = tuple(int(side) for side in header["shape"].split(b",") if side.strip())
    n_bytes, n_given = prod(shape) * dtype.itemsize, len(data) - data_at
    if n_bytes != n_given:
        raise UndecodableItems(
            Problem(f"the array of shape {list(shape)} needs {n_bytes} bytes, the body has {n_given}")
        )
    array = np.frombuffer(data, dtype=dtype, offset=data_at)
    try:
        return array.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
    except ValueError:
        raise UndecodableItems(Problem(f"the shape {list(shape)} is larger than that of any array")) from None


def to_npy(array: NDArray[Any]) -> bytes:
    """The bytes of a `.npy` file."""
    shape = "".join(f"{side}, " for side in array.shape)
    header = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': ({shape}), }}"
    n_padding = -(10 + len(header) + 1) % 64  # the format asks for data aligned to 64 bytes
    head = _NPY_MAGIC + struct.pack("<BBH", 1, 0, len(header) + n_padding + 1)
    return head + f"{header}{' ' * n_padding}\n".encode() + array.tobytes()


def numbers(values: object, *, gaps: bool = False) -> NDArray[np.float64] | None:
    """A rectangular nest of lists of JSON numbers as an array; None for anything else, booleans included.

    With `gaps`, null is allowed and becomes NaN.
    """
    if type(values) is not list:
        return None
    leaves: list[Any] = values
    try:
        while leaves and type(leaves[0]) is list:
            leaves = list(chain.from_iterable(leaves))
        kinds = set(map(type, leaves))
        if not kinds <= ({int, float, type(None)} if gaps else {int, float}):
            return None
        array = np.array(values, dtype=np.float64)
        is_honest = type(None) not in kinds or leaves.count(None) == np.isnan(array).sum()
        return array if is_honest else None  # a NaN is no gap
    except (TypeError, ValueError, OverflowError):
        return None


def batch_of_numbers(
    values: object, shapes: Sequence[Shape], *, max_items: int, gaps: bool = False
) -> NDArray[np.float64]:
    """One bare item or a list of them as `[n, *shapes[0]]`; an item may have any of `shapes`, of equal size.

    With `gaps`, null is allowed and becomes NaN.

    Raises:
        InvalidItems: not numbers, not rectangular, another shape, or more than `max_items`.
    """
    if values == []:
        check_count(0, max_items)
    array = numbers(values, gaps=gaps)
    if array is None:
        return _batch_item_by_item(values, shapes, max_items=max_items, gaps=gaps)
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


def check_range(batch: Floats, low: float, high: float, *, gaps: bool = False) -> None:
    """Raise InvalidItems, naming the items, if any element of `[n, ...]` is NaN or outside [`low`, `high`].

    With `gaps`, NaN means a gap and is allowed.
    """
    if batch.size and low <= batch.min() and batch.max() <= high:
        return
    outside = ~((batch >= low) & (batch <= high) | (gaps & np.isnan(batch)))
    if not outside.any():
        return
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


def _batch_item_by_item(values: object, shapes: Sequence[Shape], *, max_items: int, gaps: bool) -> NDArray[np.float64]:
    """Only reached when `values` as a whole are no array: says which item is to blame, and why."""
    if type(values) is not list or not values:
        raise InvalidItems(Problem(f"{_kind(values)} is not an item; {_expected(shapes)}"))
    if type(values[0]) is not list:
        raise InvalidItems(Problem(f"the item holds {_stranger(values)}; {_expected(shapes)}"))
    check_count(len(values), max_items)
    batch: list[NDArray[np.float64]] = []
    problems: list[Problem] = []
    for i, value in enumerate(values):
        array = numbers(value, gaps=gaps)
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
    level = [value]
    for _ in range(_MAX_DEPTH):
        for element in level:
            if type(element) not in (list, int, float):
                return _kind(element)
        level = [inner for element in level if type(element) is list for inner in element]
        if not level:
            return "lists of unequal length"
    return f"lists nested more than {_MAX_DEPTH} deep"


def _kind(value: object) -> str:
    names = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an empty list"}
    return names.get(type(value), "a number")
