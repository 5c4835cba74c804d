"""Rows of numbers, or of values by column, in CSV (RFC 4180)."""

import codecs
import csv
import io
import math
import re
from collections.abc import Container, Iterator, Sequence

import numpy as np

from models.cancellation import stop_if_abandoned
from models.errors import Problem, UndecodableItems

GAPS = ("", "nan", "null", "none")
"""Cells, in lower case, that stand for a missing value."""
_INTEGER_PATTERN = re.compile(r"[+-]?[0-9]{1,18}")
"""An integer that fits into 64 bits, as JSON encoders demand; others are read as floats."""
_LINE_ENDS, _COMMA = b"\r\n", ord(",")
_PIECE_CHARACTERS = 2**16
"""Number of characters of a line that are split into cells in one go."""
_N_LINES_AT_ONCE = 1024
"""Number of lines after which the reading for a client that left ends."""


def parse_csv(data: bytes, *, max_cells: int = 2**22, max_lines: int = 2**20) -> list[list[float | None]]:
    """Return the numbers of each line; None where one is missing. Empty lines, and a first line of names, are skipped.

    Raises:
        UndecodableItems: the text is not UTF-8, there are more than `max_cells` cells and empty lines or more than
            `max_lines` lines, or a cell is not a finite number, in which case the error names the line.
        WorkAbandoned: the caller has left.
    """
    _check_counts(data, max_cells, max_lines)
    _check_encoding(data)
    rows: list[list[float | None]] = []
    lines = _Lines(data, max_cells)
    try:
        may_be_header = True
        for cells in lines.read():
            if not any(cell.strip() for cell in cells):
                continue
            if not (may_be_header and is_header(cells)):
                rows.append([parse_number(cell) for cell in cells])
            may_be_header = False
    except (ValueError, csv.Error) as error:
        while rows:  # millions of rows at once would hold the interpreter's lock for long
            del rows[-_N_LINES_AT_ONCE:]
        raise UndecodableItems(Problem(f"line {lines.n_read} of the CSV: {error}")) from None
    return rows


def parse_csv_rows(
    data: bytes, *, gaps: Container[str], max_cells: int = 2**22, max_lines: int = 2**20
) -> list[dict[str, str | None]]:
    """Return the cells of each line below the first by its names, as `csv_rows` does.

    Raises:
        UndecodableItems, WorkAbandoned: as by `csv_rows`.
    """
    rows: list[dict[str, str | None]] = []
    try:
        rows.extend(csv_rows(data, gaps=gaps, max_cells=max_cells, max_lines=max_lines))
    except UndecodableItems:
        while rows:  # millions of rows at once would hold the interpreter's lock for long
            del rows[-_N_LINES_AT_ONCE:]
        raise
    return rows


def csv_rows(
    data: bytes, *, gaps: Container[str], max_cells: int = 2**22, max_lines: int = 2**20
) -> Iterator[dict[str, str | None]]:
    """Yield the cells of each line below the first by its names; None where one is missing. Empty lines are skipped.

    `gaps` are the cells, in lower case, that stand for a missing value.

    Raises:
        UndecodableItems: as by `parse_csv`, or a line has more or fewer cells than there are names, or a name is given
            twice or missing.
        WorkAbandoned: the caller has left.
    """
    _check_counts(data, max_cells, max_lines)
    _check_encoding(data)
    names: list[str] = []
    lines = _Lines(data, max_cells)
    try:
        for cells in lines.read():
            texts = [cell.strip() for cell in cells]
            if not any(texts):
                continue
            if not names:
                names = _check_names(texts)
            elif len(texts) != len(names):
                raise ValueError(f"{len(texts)} cells; the first line has {len(names)} names")
            else:
                values = (None if text.lower() in gaps else text for text in texts)
                yield dict(zip(names, values, strict=True))
    except (ValueError, csv.Error) as error:
        raise UndecodableItems(Problem(f"line {lines.n_read} of the CSV: {error}")) from None


def _check_names(names: list[str]) -> list[str]:
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if not all(names) or twice:
        fault = f"the name {twice[0][:40]!r} is given twice" if twice and all(names) else "a column has no name"
        raise ValueError(fault)
    return names


def _check_counts(data: bytes, max_cells: int, max_lines: int) -> None:
    """Refuse a text by the number of its line ends and commas, before any cell is made of it."""
    characters = np.frombuffer(data, np.uint8)
    n_lines = max(int(np.count_nonzero(characters == end)) for end in _LINE_ENDS)  # without the interpreter's lock
    n_cells = n_lines + int(np.count_nonzero(characters == _COMMA))
    for n, limit, kind in ((n_cells, max_cells, "cells and empty lines"), (n_lines, max_lines, "lines")):
        if n > limit:
            raise UndecodableItems(Problem(f"the CSV has more than {limit} {kind}, which is the limit"))


def _check_encoding(data: bytes) -> None:
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _PIECE_CHARACTERS):
        stop_if_abandoned()
        n_held = len(decoder.getstate()[0])  # bytes of a character that began before `start`
        try:
            decoder.decode(data[start : start + _PIECE_CHARACTERS], final=start + _PIECE_CHARACTERS >= len(data))
        except UnicodeDecodeError as error:
            place = start - n_held + error.start
            line = data.count(b"\n", 0, place) + 1
            raise UndecodableItems(Problem(f"line {line} of the CSV: byte {place} is not UTF-8")) from None


class _Lines:
    """Reads the cells of each line.

    Attributes:
        n_read: number of lines that have been read.
    """

    def __init__(self, data: bytes, max_cells: int) -> None:
        self._max_cells = max_cells
        self._text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
        self._is_cut = False  # the piece that was read last ends before the end of its line
        self.n_read = 0

    def read(self) -> Iterator[list[str]]:
        """Yield the cells of each line.

        Raises:
            ValueError: a cell is too long, a long line has quotes, or there are too many cells or lines.
            csv.Error: quotes are wrong.
        """
        line: list[str] = []
        n_cells = 0
        for cells in csv.reader(self._pieces()):
            line += cells
            n_cells += max(1, len(cells))
            if n_cells > self._max_cells:
                raise ValueError(f"there are more than {self._max_cells} cells and empty lines, which is the limit")
            if not self._is_cut:
                yield line
                line = []

    def _pieces(self) -> Iterator[str]:
        """Yield each line; a long one in pieces that end before a comma, which is left out."""
        rest = ""
        while piece := rest + self._text.readline(_PIECE_CHARACTERS):
            if not self._is_cut:
                self.n_read += 1
                if self.n_read % _N_LINES_AT_ONCE == 0:
                    stop_if_abandoned()
            self._is_cut = len(piece) >= _PIECE_CHARACTERS and not piece.endswith(("\n", "\r"))
            rest = ""
            if self._is_cut:
                stop_if_abandoned()
                comma = piece.rfind(",", 0, -1)
                if comma < 0 or '"' in piece:
                    fault = "a cell" if comma < 0 else "a line with quotes"
                    raise ValueError(f"{fault} has more than {_PIECE_CHARACTERS} characters")
                piece, rest = piece[:comma], piece[comma + 1 :]
            yield piece


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
