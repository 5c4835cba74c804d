"""Learn the right answer to each request from a server at rest, and compare later answers with it.

Answers of the same request may differ in the last digits, because which rows share a forward pass changes the order of
additions; and in fields such as a time. What differs between several answers of the resting server is not compared.
"""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from PIL import Image

from benchmarks.server.http_client import Answer

RELATIVE, ABSOLUTE = 1e-3, 1e-4
MAX_PIXEL_DIFFERENCE = 2
PNG_URL = "data:image/png;base64,"
NPY_MAGIC = b"\x93NUMPY"
STREAM_PREFIX = b"data:"
Leaf = tuple[Any, ...]


@dataclass
class Expectation:
    """The right answer to a request: its bytes, the same as values, and the places whose values are not compared."""

    status: int
    body: bytes
    leaves: dict[Leaf, Any]
    varying: set[Leaf] = field(default_factory=set)

    @classmethod
    def of(cls, answers: Sequence[tuple[Answer, str]]) -> "Expectation":
        """Return what answers have in common, each given with the id of its request."""
        (first, first_id), *others = answers
        body = without_id(first.body, first_id)
        expectation = cls(first.status, body, dict(leaves_of(body)))
        for answer, request_id in others:
            found = dict(leaves_of(without_id(answer.body, request_id)))
            expectation.varying |= expectation._differing(found)
        return expectation

    def differs(self, answer: Answer, request_id: str) -> str | None:
        """Return how an answer differs from the right one; None if it is right."""
        if answer.status != self.status:
            return f"status {answer.status} in place of {self.status}"
        if answer.body == self.body:
            return None
        body = without_id(answer.body, request_id)
        if body == self.body:
            return None
        try:
            found = dict(leaves_of(body))
        except ValueError as error:
            return f"an answer that cannot be read: {error}"
        differing = self._differing(found) - self.varying
        if not differing:
            return None
        place = min(differing, key=str)
        where = "/".join(map(str, place))
        return f"{found.get(place, 'nothing')!r:.60} in place of {self.leaves.get(place, 'nothing')!r:.60} at /{where}"

    def _differing(self, found: dict[Leaf, Any]) -> set[Leaf]:
        places = self.leaves.keys() ^ found.keys()
        for place, value in self.leaves.items():
            if place in found and not _same(value, found[place]):
                places.add(place)
        return places


def without_id(body: bytes, request_id: str) -> bytes:
    """Return a body with its request's id, which errors and some dialects repeat, replaced by a star."""
    return body.replace(request_id.encode(), b"*")


def leaves_of(body: bytes) -> Iterator[tuple[Leaf, Any]]:
    """Yield the values of a body by their places: of JSON, of events, or of NumPy format; else the whole body.

    Raises:
        ValueError: The body begins as one of these and cannot be read.
    """
    if body.startswith((b"{", b"[")):
        lines = body.split(b"\n") if body.rstrip().count(b"}\n{") else [body]
        yield from _leaves((), [orjson.loads(line) for line in lines if line])
    elif body.startswith(STREAM_PREFIX):
        lines = [line.removeprefix(STREAM_PREFIX) for line in body.split(b"\n") if line.startswith(STREAM_PREFIX)]
        yield from _leaves((), [orjson.loads(line) if line.lstrip().startswith(b"{") else line for line in lines])
    elif body.startswith(NPY_MAGIC):
        yield ("npy",), np.load(io.BytesIO(body))
    else:
        yield (), body


def _leaves(place: Leaf, value: Any) -> Iterator[tuple[Leaf, Any]]:
    """Yield the leaves of a value; a list of numbers is one leaf."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves((*place, key), member)
    elif isinstance(value, list) and value and isinstance(value[0], float):
        yield place, value
    elif isinstance(value, list):
        yield (*place, "length"), len(value)
        for number, member in enumerate(value):
            yield from _leaves((*place, number), member)
    else:
        yield place, value


def _same(first: Any, second: Any) -> bool:
    """Return whether two leaves are the same but for rounding."""
    if isinstance(first, float | int) and isinstance(second, float | int):
        return math.isclose(first, second, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray | list):
        return _same_numbers(first, second)
    if isinstance(first, str) and first.startswith(PNG_URL) and second.startswith(PNG_URL):
        return _same_pictures(first, second)
    return bool(first == second)


def _same_numbers(first: Any, second: Any) -> bool:
    try:
        first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    except (TypeError, ValueError):  # a list of floats and other values
        return bool(first == second)
    return first.shape == second.shape and np.allclose(first, second, rtol=RELATIVE, atol=ABSOLUTE)


def _same_pictures(first: str, second: str) -> bool:
    """Return whether the pictures of two data URLs differ by rounding at most."""
    files = (io.BytesIO(base64.b64decode(url.removeprefix(PNG_URL))) for url in (first, second))
    one, other = (np.asarray(Image.open(file), np.int16) for file in files)
    return one.shape == other.shape and bool(np.abs(one - other).max() <= MAX_PIXEL_DIFFERENCE)
