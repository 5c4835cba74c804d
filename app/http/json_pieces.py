"""Rendering a large answer as JSON in pieces, so that no call into C holds the interpreter's lock for long."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.cancellation import stop_if_abandoned

N_VALUES_AT_ONCE = 2**14
"""Number of values that are rendered by one call, in about a millisecond."""


def render_json(answer: Mapping[str, Any] | Sequence[Any]) -> list[bytes]:
    """Return the JSON of an answer in pieces. Its arrays may have any memory layout; NaN and infinity become null.

    Raises:
        WorkAbandoned: the answer is large, and the caller has left.
    """
    if _count_roughly(answer) <= N_VALUES_AT_ONCE:
        return [_dumps(answer)]
    return list(_pieces(answer))


def _count_roughly(answer: Mapping[str, Any] | Sequence[Any]) -> int:
    """Return about how many values an answer has. Lists within its outputs count as their number of elements."""
    count = 0
    for member in answer.values() if isinstance(answer, Mapping) else (answer,):
        for output in member if isinstance(member, list) else ():
            for value in output.values() if isinstance(output, dict) else (output,):
                count += value.size if isinstance(value, np.ndarray) else len(value) if isinstance(value, list) else 1
    return count


def _pieces(value: Any) -> Iterator[bytes]:
    """Yield the JSON of a value in pieces of about `N_VALUES_AT_ONCE` values."""
    if isinstance(value, Mapping):
        opening = b"{"
        for name, member in value.items():
            yield opening + orjson.dumps(name) + b":"
            yield from _pieces(member)
            opening = b","
        yield b"}" if value else b"{}"
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        yield from _list_pieces(value)
    else:
        yield _dumps(value)


def _list_pieces(elements: Sequence[Any] | NDArray[Any]) -> Iterator[bytes]:
    """Yield the JSON of a list or an array: several small elements together, and large ones in pieces."""
    opening, first, count = b"[", 0, 0
    for index, element in enumerate(elements):
        n_values = _count(element)
        if count and count + n_values > N_VALUES_AT_ONCE:
            yield opening + _dumps(elements[first:index])[1:-1]
            opening, first, count = b",", index, 0
        if n_values > N_VALUES_AT_ONCE:
            yield opening
            yield from _pieces(element)
            opening, first = b",", index + 1
        else:
            count += n_values
    rest = elements[first:]
    yield (opening + _dumps(rest)[1:-1] if len(rest) else opening if opening == b"[" else b"") + b"]"


def _count(value: Any) -> int:
    """Return the number of values in a value, itself included."""
    if isinstance(value, np.ndarray):
        return 1 + value.size
    if isinstance(value, Mapping):
        return 1 + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list | tuple) else 1


def _dumps(value: Any) -> bytes:
    stop_if_abandoned()
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
    return orjson.dumps(value, default=_contiguous, option=orjson.OPT_SERIALIZE_NUMPY)


def _contiguous(value: object) -> NDArray[Any]:
    """Return an array in the memory layout that the JSON encoder takes."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
