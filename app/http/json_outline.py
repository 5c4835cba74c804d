"""The outline of a large JSON text: where lists and objects begin and end, and where their elements are separated.

It is made chunk by chunk with NumPy, whose operations release the interpreter's lock and take a fraction of a
millisecond each. Limits are checked before the values of a chunk are made.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import MalformedBody, PayloadTooLarge

CHUNK_BYTES = 2**16
"""Size in bytes of the chunks in which a text is read."""
MAX_DEPTH = 1024
"""Maximum depth of nested lists and objects, which is that of orjson."""
MAX_NUMBER_BYTES = 4300
"""Maximum length of a number, in bytes. Python converts no longer integers."""
LONG_STRING_BYTES = 2**16
"""Length in bytes from which a string that does not lie within one chunk is told apart from others."""

COMMA, OPENS_LIST, OPENS_OBJECT, CLOSES_LIST, CLOSES_OBJECT = b",[{]}"
_QUOTE, _BACKSLASH = b'"\\'
_IS_MARK = np.zeros(256, np.bool_)
_IS_MARK[list(b',[{]}"')] = True
_STEPS = np.zeros(256, np.int32)
_STEPS[[OPENS_LIST, OPENS_OBJECT]] = 1
_STEPS[[CLOSES_LIST, CLOSES_OBJECT]] = -1


class JsonLimits(Protocol):
    """The limits of JSON bodies, as the settings have them."""

    @property
    def inline_bytes(self) -> int:
        """Size in bytes of the largest body that is parsed as a whole."""

    @property
    def max_values(self) -> int:
        """Maximum number of values in a body."""

    @property
    def max_lists(self) -> int:
        """Maximum number of lists and objects in a body."""


class Outline(NamedTuple):
    """The marks of a chunk: commas and brackets outside of strings.

    Attributes:
        places: their places in the text, in ascending order.
        marks: the bytes there.
        depths: the numbers of lists and objects that are open after them.
        long_string: the places of the quotes of a long string that ends in the chunk; all marks before its end are
            before it.
    """

    places: NDArray[np.int64]
    marks: NDArray[np.uint8]
    depths: NDArray[np.int32]
    long_string: tuple[int, int] | None = None

    @classmethod
    def empty(cls) -> "Outline":
        """Return an outline without marks."""
        return cls(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int32))

    def followed_by(self, other: "Outline") -> "Outline":
        """Return the marks of two outlines, without their long strings."""
        return Outline(
            np.concatenate((self.places, other.places)),
            np.concatenate((self.marks, other.marks)),
            np.concatenate((self.depths, other.depths)),
        )

    def part(self, first: int, end: int | None = None) -> "Outline":
        """Return the marks from an index on, up to another."""
        return Outline(self.places[first:end], self.marks[first:end], self.depths[first:end])


class OutlineReader:
    """Reads the outline of one text from its beginning to its end.

    Attributes:
        string_start: the place of the first quote of a string that the text read so far does not end; -1 if none.
    """

    def __init__(self, data: bytes, limits: JsonLimits) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._text = data
        self._limits = limits
        self._is_escaped = False  # the first byte of the next chunk, by a backslash at the end of the last
        self._last_mark = -1  # place of the last mark or quote
        self._depth = self._n_values = self._n_lists = 0
        self.string_start = -1

    def read(self) -> Iterator[tuple[int, Outline]]:
        """Yield the end of each chunk, and its outline.

        Raises:
            PayloadTooLarge: there are more values, lists or digits than the limits allow.
            MalformedBody: lists or objects are nested too deeply.
        """
        for start in range(0, len(self._text), CHUNK_BYTES):
            chunk = self._data[start : start + CHUNK_BYTES]
            yield start + len(chunk), self._read_chunk(start, chunk)

    def _read_chunk(self, start: int, chunk: NDArray[np.uint8]) -> Outline:
        places = np.flatnonzero(_IS_MARK[chunk] & ~self._escaped(start, chunk))
        marks = chunk[places]
        places += start
        is_quote = marks == _QUOTE
        was_inside = self.string_start >= 0
        is_inside = np.logical_xor.accumulate(is_quote) ^ was_inside  # from the mark on
        self._check_numbers(places, is_inside, was_inside, start + len(chunk))
        quotes = places[is_quote]
        long_string = None
        if was_inside and len(quotes) and quotes[0] - self.string_start > LONG_STRING_BYTES:
            long_string = self.string_start, int(quotes[0])
        if len(places):
            self._last_mark = int(places[-1])
            if not is_inside[-1]:
                self.string_start = -1
            elif len(quotes):
                self.string_start = int(quotes[-1])
        is_structure = ~(is_quote | is_inside)
        places, marks = places[is_structure], marks[is_structure]
        depths = np.cumsum(_STEPS[marks], dtype=np.int32)
        depths += self._depth
        self._check_counts(marks, depths)
        if len(depths):
            self._depth = int(depths[-1])
        return Outline(places, marks, depths, long_string)

    def _escaped(self, start: int, chunk: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return which bytes of a chunk are escaped by a backslash before them."""
        escaped = np.zeros(len(chunk) + 1, np.bool_)
        escaped[0] = self._is_escaped
        if self._is_escaped or self._text.find(b"\\", start, start + len(chunk)) >= 0:
            is_backslash = chunk == _BACKSLASH
            is_backslash[0] &= not self._is_escaped
            backslashes = np.flatnonzero(is_backslash)
            begins_run = np.diff(backslashes, prepend=-2) != 1
            run_starts = np.maximum.accumulate(np.where(begins_run, backslashes, 0))
            escaped[backslashes[(backslashes - run_starts) % 2 == 0] + 1] = True
        self._is_escaped = bool(escaped[-1])
        return escaped[:-1]

    def _check_numbers(
        self, places: NDArray[np.int64], is_inside: NDArray[np.bool_], was_inside: bool, end: int
    ) -> None:
        """Refuse a number that is too long, in the gaps outside of strings between marks."""
        bounds = np.concatenate(([self._last_mark], places, [end]))
        outside = np.concatenate(([not was_inside], ~is_inside))
        for gap in np.flatnonzero(outside & (np.diff(bounds) > MAX_NUMBER_BYTES)).tolist():
            longest = max(map(len, self._text[bounds[gap] + 1 : bounds[gap + 1]].split()), default=0)
            if longest > MAX_NUMBER_BYTES:
                raise PayloadTooLarge(f"the JSON has a number of {longest} bytes; the limit is {MAX_NUMBER_BYTES}")

    def _check_counts(self, marks: NDArray[np.uint8], depths: NDArray[np.int32]) -> None:
        if len(depths) and depths.max() > MAX_DEPTH:
            raise MalformedBody(f"the body is not JSON: it is nested more than {MAX_DEPTH} deep")
        n_lists = int(np.count_nonzero((marks == OPENS_LIST) | (marks == OPENS_OBJECT)))
        self._n_lists += n_lists
        self._n_values += n_lists + int(np.count_nonzero(marks == COMMA))
        limits = self._limits
        if self._n_values > limits.max_values:
            raise PayloadTooLarge(f"the JSON has more than {limits.max_values} values, which is the limit max_values")
        if self._n_lists > limits.max_lists:
            limit = f"{limits.max_lists} lists and objects, which is the limit max_lists"
            raise PayloadTooLarge(f"the JSON has more than {limit}")
