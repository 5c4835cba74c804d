"""Reading the inputs of a task from files, from standard input and from arguments."""

import base64
import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.cli.errors import Refused, WrongUsage

Format = Literal["lines", "csv", "rows", "json", "ndjson", "npy", "image", "sound"]
"""What a file holds: a text in each line, rows of numbers, rows of the columns that the first line names, JSON, a JSON
value in each line, an array, a picture, or a sound."""
EXTENSIONS: dict[str, Format] = {
    ".txt": "lines",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".npy": "npy",
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".webp": "image",
    ".wav": "sound",
    ".flac": "sound",
    ".ogg": "sound",
}
"""Formats by the end of a file's name; another file has a text in each line or, for tasks without texts, numbers."""
FILE_TYPES: dict[Format, dict[bytes, str]] = {
    "sound": {b"RIFF....WAVE": "audio/wav", b"RF64....WAVE": "audio/wav", b"fLaC": "audio/flac", b"OggS": "audio/ogg"},
    "image": {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"},
}
"""Media types of sounds and pictures, by patterns of their first bytes."""
NPY_MAGIC = b"\x93NUMPY"
STDIN = "-"
_PATH_PATTERN = re.compile(r"\S*[/\\]\S*|\S+\.[A-Za-z]\w{1,5}")
"""An argument that looks like the name of a file."""
_WORD_PATTERN = re.compile(r"\S*")
"""An argument without a space."""


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a task, and the place that it was read from, such as "notes.txt, line 4"."""

    value: Any
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Reads inputs.

    Attributes:
        takes_texts: whether the task takes texts; an argument that names no file may then be one.
        takes_words: whether an argument without a space may be a text too, and not only the name of a file.
        text_format: format of files that nothing else tells the format of.
        format: format of all files; None to tell it by their names and first bytes.
        whole: whether each file is one item.
        field: the column of a CSV file, or the member of JSON objects, that has the items; None for all of it.
    """

    takes_texts: bool
    text_format: Format
    format: Format | None = None
    whole: bool = False
    field: str | None = None
    takes_words: bool = True

    def read(self, arguments: Sequence[str], texts: Sequence[str] = ()) -> list[Item]:
        """Return the items of all arguments, and the given texts as they are; of standard input if there are neither.

        Raises:
            WrongUsage: there is no input, or an argument is neither a file nor an input itself.
            Refused: a file cannot be read as its format demands; the error names the line.
        """
        if not arguments and not texts:
            if sys.stdin.isatty():
                raise WrongUsage(["There is no input: give files, or - to read standard input."])
            arguments = (STDIN,)
        items = [item for argument in arguments for item in self._read(argument)]
        items += [Item(text, f"text {number}") for number, text in enumerate(texts, 1)]
        if not items:
            raise Refused([f"There is nothing in {', '.join(map(name_of, arguments))}."])
        return items

    def _read(self, argument: str) -> Iterator[Item]:
        path = Path(argument)
        try:
            if argument == STDIN:
                data = sys.stdin.buffer.read()
            elif path.is_file():
                data = path.read_bytes()
            elif path.is_dir():
                raise WrongUsage([f"{argument} is a folder; name the files in it."])
            else:
                yield self._read_argument(argument)
                return
        except OSError as error:
            raise Refused([f"{name_of(argument)} cannot be read: {error.strerror or error}."]) from None
        kind = self.format or EXTENSIONS.get(path.suffix.lower()) or self._recognise(data)
        yield from self._read_data(data, kind, name_of(argument), path.suffix.lower())

    def _read_data(self, data: bytes, kind: Format, source: str, suffix: str) -> Iterator[Item]:
        match kind:
            case "image" | "sound":
                yield Item(_data_url(data, source, kind), source)
            case "npy":
                yield from self._read_array(data, source)
            case "csv":
                yield from self._read_csv(_decode(data, source), source, suffix)
            case "rows":
                yield from self._read_rows(_decode(data, source), source, suffix)
            case "json" | "ndjson":
                yield from self._read_json(data, source, is_lines=kind == "ndjson")
            case "lines":
                yield from self._read_lines(_decode(data, source), source)

    def _read_argument(self, argument: str) -> Item:
        """Return the item that an argument is itself: a JSON object or list, or else a text."""
        import orjson

        try:
            value = orjson.loads(argument)
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict | list):
            return Item(value, "argument")
        looks_like_file = _PATH_PATTERN if self.takes_words else _WORD_PATTERN
        if not self.takes_texts or looks_like_file.fullmatch(argument):
            hint = " If it is a text, give it by --text." if self.takes_texts else ""
            raise WrongUsage([f"There is no file {argument!r}.{hint}"])
        return Item(argument, "argument")

    def _recognise(self, data: bytes) -> Format:
        if data.startswith(NPY_MAGIC):
            return "npy"
        return next((kind for kind in FILE_TYPES if _media_type(data, kind)), self.text_format)

    def _read_array(self, data: bytes, source: str) -> Iterator[Item]:
        import numpy as np

        from models.codecs.npy import parse_npy
        from models.errors import UndecodableItems

        try:
            array = parse_npy(data)
        except UndecodableItems as error:
            raise Refused([f"{source} cannot be read: {error}."]) from None
        if np.isinf(array).any():
            raise Refused([f"{source} has an infinite number, which no task takes."])
        if self.whole or array.ndim < 2:
            yield Item(array, source)
        else:
            yield from (Item(row, f"{source}, row {number}") for number, row in enumerate(array, 1))

    def _read_csv(self, text: str, source: str, suffix: str) -> Iterator[Item]:
        from models.codecs.csv_numbers import is_header

        rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ",")
        read: list[Item] = []
        column: int | None = None
        may_be_header = True
        for cells in rows:
            place = f"{source}, line {rows.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if self.field is not None and column is None:
                column = _find_column(cells, self.field, source)
            elif column is not None:
                if len(cells) <= column:
                    raise Refused([f"{place}: there is no column {self.field}; the line has {len(cells)} cells."])
                read.append(Item(cells[column], place))
            elif not (may_be_header and is_header(cells)):
                read.append(Item([_number(cell, place) for cell in cells], place))
            may_be_header = False
        yield from [Item([item.value for item in read], source)] if self.whole and read else read

    def _read_rows(self, text: str, source: str, suffix: str) -> Iterator[Item]:
        """Yield an object of names and cells for each line below the first or, for a whole file, of names and lists."""
        from models.codecs.table.columns import GAPS

        rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ",")
        names: list[str] = []
        read: list[Item] = []
        for cells in rows:
            place = f"{source}, line {rows.line_num}"
            texts = [cell.strip() for cell in cells]
            if not any(texts):
                continue
            if not names:
                names = texts
            elif len(texts) != len(names):
                raise Refused([f"{place}: {len(texts)} cells; the first line has {len(names)} names."])
            else:
                values = (None if text.lower() in GAPS else text for text in texts)
                read.append(Item(dict(zip(names, values, strict=True)), place))
        if self.whole and read:
            read = [Item({name: [row.value[name] for row in read] for name in names}, source)]
        yield from read

    def _read_json(self, data: bytes, source: str, *, is_lines: bool) -> Iterator[Item]:
        import orjson

        lines = enumerate(data.splitlines(), 1) if is_lines else [(0, data)]
        values: list[Item] = []
        for number, line in lines:
            place = f"{source}, line {number}" if is_lines else source
            if not line.strip():
                continue
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                where = place if is_lines else f"{source}, line {error.lineno}, column {error.colno}"
                raise Refused([f"{where}: this is not JSON: {error.msg}."]) from None
            values.append(Item(value, place))
        if is_lines and self.whole:
            values = [Item([item.value for item in values], source)]
        elif not is_lines and not self.whole and values and isinstance(values[0].value, list):
            elements = values[0].value
            values = [Item(value, f"{source}, item {number}") for number, value in enumerate(elements, 1)]
        yield from (Item(_member(item, self.field), item.place) for item in values)

    def _read_lines(self, text: str, source: str) -> Iterator[Item]:
        if self.whole:
            yield Item(text, source)
            return
        for number, line in enumerate(io.StringIO(text, newline=None), 1):
            if line.strip():
                yield Item(line.rstrip("\n"), f"{source}, line {number}")


def name_of(argument: str) -> str:
    """Return the name of a source in messages."""
    return "standard input" if argument == STDIN else argument


def _media_type(data: bytes, kind: Format) -> str | None:
    """Return the media type of a picture or a sound, as its first bytes tell; None if they are of no such file."""
    return next((found for start, found in FILE_TYPES[kind].items() if re.match(start, data, re.DOTALL)), None)


def _data_url(data: bytes, source: str, kind: Format) -> str:
    media_type = _media_type(data, kind)
    if media_type is None:
        known = "a PNG, JPEG or WebP picture" if kind == "image" else "a WAV, FLAC or Ogg sound"
        raise Refused([f"{source} is not {known}."])
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused([f"{source}, line {line}: byte {error.start} is not UTF-8."]) from None


def _find_column(header: Sequence[str], field: str, source: str) -> int:
    names = [name.strip() for name in header]
    if field not in names:
        raise Refused([f"{source} has no column {field!r}; its first line has {', '.join(names)}."])
    return names.index(field)


def _number(cell: str, place: str) -> float | None:
    """Return the number in a cell, an integer where it is one, or None for a gap."""
    from models.codecs.csv_numbers import parse_number

    try:
        return parse_number(cell)
    except ValueError as error:
        advice = "--from rows reads rows of a table, --field texts from a column, --from lines whole lines"
        raise Refused([f"{place}: {error}. {advice}."]) from None


def _member(item: Item, field: str | None) -> Any:
    if field is None:
        return item.value
    if not isinstance(item.value, dict) or field not in item.value:
        known = f"; it has {', '.join(item.value)}" if isinstance(item.value, dict) else ""
        raise Refused([f"{item.place} is no object with the member {field!r}{known}."])
    return item.value[field]
