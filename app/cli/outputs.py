"""Writing the outputs of a task as JSON, CSV, an array or a picture."""

import csv
import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import click
import orjson
from typing_extensions import override

from app.cli.errors import Refused, WrongUsage, in_words
from app.cli.inputs import Item
from app.cli.requests import JSON, Answer

LABEL_CHARACTERS = 32
"""Maximum number of characters of an input that a table shows."""


class Writer(ABC):
    """Writes the answers of a command, in the order of its inputs.

    Attributes:
        accept: the media type that the answers must have.
        per_answer: whether an answer may have any number of outputs, or must have all of them or a single one.
    """

    accept = JSON
    per_answer: Literal["any", "all", "one"] = "any"

    @abstractmethod
    def write(self, answer: Answer) -> None:
        """Add one answer."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is known only now that there are all answers."""


def labels_of(answer: Answer) -> Sequence[str]:
    """Return a name for each output: its input, shortened, or where that was read from; else its number."""
    items, n_outputs = answer.items or (), len(answer.content["outputs"])
    if len(items) != n_outputs:
        return [str(number) for number in range(1, n_outputs + 1)]
    return [_label(item) for item in items]


def _label(item: Item) -> str:
    value = item.value
    if isinstance(value, dict):
        value = next((member for member in value.values() if isinstance(member, str)), item.place)
    if not isinstance(value, str) or value.startswith(("data:image/", "data:audio/")):
        return item.place
    text = " ".join(value.split())
    return text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 1]}…"


def is_array(value: Any) -> bool:
    """Return whether a value is a list of numbers, or of such lists; by its first elements."""
    while isinstance(value, list):
        if not value:
            return True
        value = value[0]
        if isinstance(value, int | float):
            return True
    return False


def flatten(value: Any) -> Iterator[Any]:
    """Yield the numbers of nested lists."""
    if isinstance(value, list):
        for member in value:
            yield from flatten(member)
    else:
        yield value


class JsonWriter(Writer):
    """Writes one JSON object: the answer of the API, with the outputs of all requests."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._content: dict[str, Any] = {}

    @override
    def write(self, answer: Answer) -> None:
        content = dict(answer.content)
        content.pop("warnings", None)  # whose pointers are those of one request; they were printed
        if self._content:
            content["outputs"] = self._content["outputs"] + content["outputs"]
            earlier = self._content["usage"]
            content["usage"] = {name: earlier.get(name, 0) + count for name, count in content["usage"].items()}
        self._content = content

    @override
    def finish(self) -> None:
        self._file.write(orjson.dumps(self._content) + b"\n")
        self._file.flush()


class JsonLinesWriter(Writer):
    """Writes each output as one line of JSON, as soon as it is there."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @override
    def write(self, answer: Answer) -> None:
        self._file.write(b"".join(orjson.dumps(output) + b"\n" for output in answer.content["outputs"]))
        self._file.flush()

    @override
    def finish(self) -> None:
        self._file.flush()


class CsvWriter(Writer):
    """Writes a line for each output, and the numbers of a list into columns of their own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._columns: list[str] = []

    @override
    def write(self, answer: Answer) -> None:
        outputs, items = answer.content["outputs"], answer.items or ()
        places = [item.place for item in items] if len(items) == len(outputs) else labels_of(answer)
        for place, output in zip(places, outputs, strict=True):
            row = {"input": place} | dict(_columns(output))
            if not self._columns:
                self._columns = [*row]
                self._write_line(self._columns)
            if [*row] != self._columns:
                detail = "the outputs have different columns, which a CSV file cannot have"
                raise Refused([f"{place}: {detail}; write .json or .ndjson instead."])
            self._write_line(row.values())
        self._file.flush()

    def _write_line(self, cells: Any) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._file.write(line.getvalue().encode())

    @override
    def finish(self) -> None:
        self._file.flush()


def _columns(output: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in output.items():
        if is_array(value):
            yield from ((f"{name}_{index}", number) for index, number in enumerate(flatten(value)))
        else:
            yield name, orjson.dumps(value).decode() if isinstance(value, dict | list) else value


class ArrayWriter(Writer):
    """Writes the main arrays of all outputs as one NumPy file."""

    accept = "application/x-npy"

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._parts: list[Any] = []

    @override
    def write(self, answer: Answer) -> None:
        import numpy as np

        self._parts.append(np.load(io.BytesIO(answer.content), allow_pickle=False))

    @override
    def finish(self) -> None:
        import numpy as np

        if len({part.shape[1:] for part in self._parts}) > 1:
            raise Refused(["The outputs differ in shape and form no array; write .json or .ndjson instead."])
        np.save(self._file, np.concatenate(self._parts))
        self._file.flush()


class PictureWriter(Writer):
    """Writes the picture of the answer, in which several outputs form a grid."""

    accept = "image/png"
    per_answer = "all"

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @override
    def write(self, answer: Answer) -> None:
        self._file.write(answer.content)
        self._file.flush()

    @override
    def finish(self) -> None:
        self._file.flush()


class WavWriter(PictureWriter):
    """Writes the sound of the answer as WAV; there must be one output."""

    accept = "audio/wav"


class FlacWriter(PictureWriter):
    """Writes the sound of the answer as FLAC; there must be one output."""

    accept = "audio/flac"


class PictureFolderWriter(Writer):
    """Writes the picture of each output to a file of its own, which is named for the input."""

    accept = "image/png"
    per_answer = "one"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()

    @override
    def write(self, answer: Answer) -> None:
        source, _, part = answer.items[0].place.partition(", ") if answer.items else ("output", "", "")
        name = "-".join([Path(source).stem, *part.split()])
        number, stem = 1, name
        while name in self._names:  # files of the same name may lie in different folders
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name)
        path = self._folder / f"{name}.png"
        try:
            path.write_bytes(answer.content)
        except OSError as error:
            raise Refused([f"{path} cannot be written: {error.strerror or error}."]) from None

    @override
    def finish(self) -> None:
        click.echo(f"{len(self._names)} pictures are in {self._folder}.", err=True)


WRITERS: dict[str, type[Any]] = {
    ".json": JsonWriter,
    ".ndjson": JsonLinesWriter,
    ".jsonl": JsonLinesWriter,
    ".csv": CsvWriter,
    ".npy": ArrayWriter,
    ".png": PictureWriter,
    ".wav": WavWriter,
    ".flac": FlacWriter,
}
"""Writers by the end of a file's name."""


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[bytes]]:
    """Open the file to write to, or standard output. A file that exists is replaced only if all goes well.

    Raises:
        WrongUsage: the file cannot be written, or its name does not tell a format.
    """
    if path is None:
        yield sys.stdout.buffer
        return
    if path.suffix.lower() not in WRITERS:
        raise WrongUsage([f"--output is {str(path)!r}; its name must end in {in_words([*WRITERS])}."])
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise WrongUsage([f"--output is {str(path)!r}, which cannot be written: {error.strerror or error}."]) from None
    finally:
        with suppress(OSError):  # the folder need not exist
            part.unlink()
