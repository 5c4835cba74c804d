"""The lines of a body of JSON lines (NDJSON), one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from models.errors import InvalidItems, Problem, UndecodableItems

BYTES_AT_ONCE = 2**20
"""Bytes after which a batch of lines takes no further line."""


@dataclass(frozen=True)
class Line:
    """A line that is not empty, and its number from 1."""

    number: int
    text: bytes


def split_lines(data: bytes) -> Iterator[Line]:
    """Yield the lines that are not empty."""
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].strip()
        start, number = end + 1, number + 1
        if line:
            yield Line(number, line)


def parse_line(line: Line) -> Any:
    """Return the value of a line, or the error of one that has none."""
    try:
        return orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        return UndecodableItems(Problem(f"line {line.number} is no JSON: {error}"))


def parse_lines(data: bytes, *, max_items: int) -> list[Any]:
    """Return the values of all lines.

    Raises:
        UndecodableItems: a line is no JSON.
        InvalidItems: there are more than `max_items`.
    """
    values: list[Any] = []
    for line in split_lines(data):
        value = parse_line(line)
        if isinstance(value, UndecodableItems):
            raise value
        if len(values) == max_items:
            raise InvalidItems(Problem(f"more than {max_items} items; a request takes 1 to {max_items}"))
        values.append(value)
    return values


def take_lines(items: Iterator[Line], n_at_once: int) -> tuple[list[Line], bool]:
    """Return the lines of a batch, and whether no line follows.

    They are at most `n_at_once`, and no more after `BYTES_AT_ONCE` bytes.
    """
    lines: list[Line] = []
    n_bytes = 0
    for line in items:
        lines.append(line)
        n_bytes += len(line.text)
        if len(lines) == n_at_once or n_bytes >= BYTES_AT_ONCE:
            return lines, False
    return lines, True
