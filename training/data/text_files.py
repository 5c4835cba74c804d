"""Compressed text files, as lines and rows; every error names the file, and the line where there is one."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.data.files import DataFile, DataFolder
from training.errors import DataError


@dataclass(frozen=True)
class TextFile:
    """The decoded text of a file; `name` appears in error messages."""

    name: str
    text: str

    def lines(self) -> Iterator[tuple[int, str]]:
        """Iterate over the lines, with their numbers from 1.

        Only a line feed ends a line, since Unicode's other line separators may occur within a sentence.
        """
        return enumerate(self.text.removesuffix("\n").split("\n") if self.text else [], start=1)

    def tab_separated(self, n_columns: int) -> Iterator[tuple[int, list[str]]]:
        """Iterate over rows of tab-separated columns, without quoting.

        Raises:
            DataError: a row has another number of columns.
        """
        for number, line in self.lines():
            yield number, self._checked(number, line.split("\t"), n_columns)

    def comma_separated(self, n_columns: int) -> Iterator[tuple[int, list[str]]]:
        """Iterate over the rows of a CSV file (RFC 4180).

        Raises:
            DataError: a row has another number of columns, or quotation marks do not pair.
        """
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        try:
            for row in reader:
                yield reader.line_num, self._checked(reader.line_num, row, n_columns)
        except csv.Error as error:
            raise self.error(reader.line_num, f"not CSV: {error}") from error

    def below_header(
        self, rows: Iterator[tuple[int, list[str]]], header: Sequence[str]
    ) -> Iterator[tuple[int, list[str]]]:
        """Return the rows after the first.

        Raises:
            DataError: the first row is not `header`.
        """
        if next(rows, (1, []))[1] != list(header):
            raise self.error(1, f"expected the header: {', '.join(header)}")
        return rows

    def json_objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Iterate over lines that each hold a JSON object.

        Raises:
            DataError: a line is not a JSON object.
        """
        for number, line in self.lines():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise self.error(number, f"not JSON: {error}") from error
            if not isinstance(value, dict):
                raise self.error(number, "not a JSON object")
            yield number, value

    def error(self, line: int, fault: str) -> DataError:
        """Return an error about a line, to be raised."""
        return DataError(f"{self.name}, line {line}: {fault}")

    def _checked(self, number: int, row: list[str], n_columns: int) -> list[str]:
        if len(row) != n_columns:
            raise self.error(number, f"{len(row)} columns; expected {n_columns}")
        return row


def read_texts(folder: DataFolder, dataset: str, files: Sequence[DataFile]) -> list[TextFile]:
    """Read the texts of gzip files in UTF-8, in order.

    Raises:
        DataError: a file is missing, is not gzip, or is not UTF-8.
    """
    contents = zip(files, folder.read(dataset, files), strict=True)
    return [_decompressed(f"{dataset}/{file.name}", data) for file, data in contents]


def _decompressed(name: str, data: bytes) -> TextFile:
    try:
        return TextFile(name, gzip.decompress(data).decode("utf-8"))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} is not a whole gzip file: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: {error}") from error
