"""Rows of numbers in CSV (RFC 4180)."""

import csv
import io
import math
import re
from collections.abc import Sequence

from models.errors import Problem, UndecodableItems

GAPS = ("", "nan", "null", "none")
"""Cells, in lower case, that stand for a missing value."""
_INTEGER_PATTERN = re.compile(r"[+-]?[0-9]{1,18}")
"""An integer that fits into 64 bits, as JSON encoders demand; others are read as floats."""


def parse_csv(data: bytes) -> list[list[float | None]]:
    """Return the numbers of each line; None where one is missing. Empty lines, and a first line of names, are skipped.

    Raises:
        UndecodableItems: the text is not UTF-8, or a cell is not a finite number; the error names the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UndecodableItems(Problem(f"line {line} of the CSV: byte {error.start} is not UTF-8")) from None
    rows: list[list[float | None]] = []
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells) and (rows or not is_header(cells)):
                rows.append([parse_number(cell) for cell in cells])
    except (ValueError, csv.Error) as error:
        raise UndecodableItems(Problem(f"line {lines.line_num} of the CSV: {error}")) from None
    return rows


def is_header(cells: Sequence[str]) -> bool:
    """Return whether all cells of a line are names, and none a number or a gap."""
    return all(_is_name(cell) for cell in cells)


def parse_number(cell: str) -> float | None:
    """Return the number in a cell, an integer where it is one, or None for a gap.

    Raises:
        ValueError: the cell holds no finite number.
    """
    text = cell.strip()
    if text.lower() in GAPS:
        return None
    if _INTEGER_PATTERN.fullmatch(text):
        return int(text)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not finite")
    return value


def _is_name(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() not in GAPS
    return False
