"""Printing the outputs of a task as a table for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from app.cli.errors import in_words
from app.cli.outputs import LABEL_CHARACTERS, Writer, flatten, is_array, labels_of
from app.cli.requests import Answer

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_WORD = 200
"""Maximum number of characters of a text without spaces, such as base64, that is shown whole."""
MIN_SINGLE = 2
"""Number of single values from which on a table shows no others."""
FILES = {"data:image/": "a picture", "data:audio/": "a sound"}
"""Names of files by the beginnings of their `data:` URLs."""
N_SHOWN = 3
"""Number of numbers of a list that a table shows."""


class TableWriter(Writer):
    """Prints a table, with a row for each output.

    Where outputs have several single values, such as scores, longer values are left out, and named below the table.
    """

    def __init__(self, *, has_pictures: bool) -> None:
        self._has_pictures = has_pictures
        self._rows: list[tuple[str, dict[str, Any]]] = []
        self._summary: dict[str, Any] = {}
        self._n_truncated = 0
        self._places: set[str] = set()

    @override
    def write(self, answer: Answer) -> None:
        self._places |= {item.place for item in answer.items or ()}
        self._rows += zip(labels_of(answer), answer.content["outputs"], strict=True)
        self._summary |= summary_of(answer.content)
        self._n_truncated += answer.content["usage"].get("truncated") or 0

    @override
    def finish(self) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        names = list(dict.fromkeys(name for _, output in self._rows for name in output))
        single = [name for name in names if all(_is_single(output.get(name)) for _, output in self._rows)]
        shown = single if len(single) >= MIN_SINGLE else names
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("", overflow="fold")
        for name in shown:
            table.add_column(name, overflow="fold", no_wrap=name in single and shown is single)
        for label, (_, output) in zip(self._short_labels(), self._rows, strict=True):
            table.add_row(*(_cell(text) for text in (label, *(_in_words(output.get(name)) for name in shown))))
        console = Console()
        console.print(table)
        for name, value in self._summary.items():
            console.print(_cell(f"{name}: {_in_words(value)}"))
        self._print_hints([name for name in names if name not in shown])

    def _short_labels(self) -> list[str]:
        """Return the labels of the rows, without the name of the file if all were read from the same one."""
        labels = [label for label, _ in self._rows]
        sources = {label.rpartition(", ")[0] for label in labels}
        if len(sources) == 1 and self._places.issuperset(labels):
            return [label.rpartition(", ")[2] for label in labels]
        return labels

    def _print_hints(self, left_out: Sequence[str]) -> None:
        if self._n_truncated:
            click.echo(f"Warning: {self._n_truncated} of the inputs were cut, because they are too long.", err=True)
        if left_out:
            click.echo(f"Not shown: {in_words(left_out, 'and')}; --json prints all.", err=True)
        if self._has_pictures:
            click.echo("-o FILE.png writes pictures, -o FILE.npy the numbers.", err=True)


def _is_single(value: Any) -> bool:
    """Return whether a value is a number, a short text, or missing."""
    return not isinstance(value, list | dict) and not (isinstance(value, str) and len(value) > LABEL_CHARACTERS)


def _cell(text: str) -> "RenderableType":
    """Return text in which square brackets are no markup."""
    from rich.text import Text

    return Text(text, overflow="fold")


def summary_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an answer that are about all outputs together."""
    return {name: value for name, value in content.items() if name not in ("model", "outputs", "usage", "warnings")}


def _in_words(value: Any) -> str:
    """Return a value of an output as text for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, str):
        if len(value) <= MAX_WORD or " " in value:
            return value
        file = next((name for start, name in FILES.items() if value.startswith(start)), None)
        return file or f"{value[:LABEL_CHARACTERS]}… ({len(value)} characters)"
    if isinstance(value, dict):
        short = {name: member for name, member in value.items() if not is_array(member) or len(member) <= N_SHOWN}
        return _members_in_words(short)
    if not isinstance(value, list):
        return str(value)
    if not is_array(value):
        separator = "  " if all(isinstance(member, str) for member in value) else "\n"
        return separator.join(map(_in_words, value))
    numbers = [*flatten(value)]
    shown = " ".join(_in_words(number) for number in numbers[:N_SHOWN])
    return shown if len(numbers) <= N_SHOWN else f"{len(numbers)} numbers: {shown} …"


def _members_in_words(members: dict[str, Any]) -> str:
    """Return the members of an object with their names, without that of the first text, and of an only number."""
    texts = [name for name, value in members.items() if isinstance(value, str)]
    numbers = [name for name in members if name not in texts]
    unnamed = {*texts[:1], *(numbers if len(numbers) == 1 else ())}
    return "  ".join(f"{'' if name in unnamed else f'{name} '}{_in_words(value)}" for name, value in members.items())
