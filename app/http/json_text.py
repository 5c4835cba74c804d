"""Reading JSON as some clients write it, and saying where a text is not JSON."""

import json
import re
from typing import Any

import numpy as np
import orjson

from app.errors import MalformedBody
from models.cancellation import stop_if_abandoned

_SURROGATES = re.compile("[\ud800-\udfff]")
_MAY_HAVE_SURROGATES = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
"""Texts in JSON that may hold a surrogate, which may be written as an escape."""
_LOW_SURROGATE = re.compile(rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_LONGEST_ESCAPE = 6
"""Length of the longest escape of a character, which is `\\u` with four digits."""
PIECE_BYTES = 2**18
"""Size in bytes of the pieces in which a long string is read."""


def loads(data: bytes, encoding: str | None = None) -> Any:
    """Parse a JSON text, in UTF-8, UTF-16 or UTF-32 if no encoding is given.

    NaN and infinity are not JSON, yet some clients send them. They are accepted here, so that the check that follows
    can refuse them with an error that says where they are. A lone surrogate, which no UTF-8 has, becomes U+FFFD.

    Raises:
        ValueError: the text is not JSON, or an integer has more digits than Python converts.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    text = data.decode(encoding or json.detect_encoding(data), "surrogatepass")
    values = json.loads(text)
    return _without_surrogates(values) if _MAY_HAVE_SURROGATES.search(text) else values


def _without_surrogates(value: Any) -> Any:
    """Return a value of JSON with U+FFFD in place of each lone surrogate, in names as well."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(element) for element in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(member) for name, member in value.items()}
    return value


def loads_string(data: bytes, start: int, end: int) -> str:
    """Return the string in UTF-8 between the quotes at two places, read in pieces of `PIECE_BYTES`.

    Raises:
        MalformedBody: it is no string of JSON.
    """
    pieces: list[str] = []
    at = start + 1
    while at < end:
        stop_if_abandoned()
        cut = min(end, _cut_string(data, at, at + PIECE_BYTES)) if end - at > PIECE_BYTES else end
        try:
            pieces.append(loads(b'"' + data[at:cut] + b'"', "utf-8"))
        except ValueError:
            raise malformed_part(data, at, cut + (cut == end), '"') from None
        at = cut
    return "".join(pieces)


def _cut_string(data: bytes, start: int, end: int) -> int:
    """Return a place close to `end` where a string can be cut that begins at `start`: not in a character or escape."""
    while _continues_character(data[end]):
        end -= 1
    backslash = data.rfind(b"\\", max(start, end - _LONGEST_ESCAPE), end)
    if backslash >= 0:
        before = data[start : backslash + 1]
        if (len(before) - len(before.rstrip(b"\\"))) % 2:
            end = backslash  # an escape begins there
    low_surrogate = _LOW_SURROGATE.match(data, end)
    return low_surrogate.end() if low_surrogate else end


def malformed(error: Exception) -> MalformedBody:
    """Return the refusal of a body for an error of `loads`; it says at which line and column, in characters."""
    if isinstance(error, json.JSONDecodeError):
        reason = f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
    elif isinstance(error, UnicodeDecodeError):
        reason = f"byte {error.start} is not {error.encoding.upper()}"
    elif isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    else:
        reason = "a number has too many digits"
    return MalformedBody(f"the body is not JSON: {reason}")


def malformed_part(data: bytes, start: int, end: int, before: str) -> MalformedBody:
    """Return the refusal of a body in UTF-8 for the first error in `data[start:end]`.

    `before` is a short text that stands for what comes before the part: a bracket, and an element if it has any.
    """
    while end < len(data) and _continues_character(data[end]):
        end += 1
    part = data[start:end].decode("utf-8", "surrogatepass")
    try:
        json.loads(before + part)
    except json.JSONDecodeError as error:
        at = max(0, error.pos - len(before))
        line_start = data.rfind(b"\n", 0, start) + 1
        n_before = _count_characters(data[line_start:start])
        newline = part.rfind("\n", 0, at)
        place = json.JSONDecodeError(error.msg, "", 0)
        place.lineno = 1 + _count_lines(data[:start]) + part.count("\n", 0, at)
        place.colno = at - newline if newline >= 0 else n_before + at + 1
        return malformed(place)
    except (RecursionError, ValueError) as error:
        return malformed(error)
    return MalformedBody(f"the body is not JSON: byte {end} is not expected")


def _continues_character(byte: int) -> bool:
    """Return whether a byte of a text in UTF-8 is not the first one of its character."""
    return byte & 0xC0 == 0x80


def _count_lines(data: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))


def _count_characters(data: bytes) -> int:
    """Return the number of characters of a text in UTF-8, which is that of the bytes that continue no character."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) & 0xC0 != 0x80))
