"""Errors of the command line, each printed as plain sentences on standard error."""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import IO, Any

import click
from typing_extensions import override

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended: 128 and the number of SIGINT, as shells report it."""
SIMILARITY = 0.54
"""Minimum similarity of two names for one to be suggested instead of the other; "fp16" and "float16" just reach it."""


class Refused(click.ClickException):
    """What was asked for is refused or has failed; each problem is printed on a line of its own."""

    exit_code = 1

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        for problem in self.problems:
            click.echo(f"Error: {problem}", file=file or sys.stderr)


class WrongUsage(Refused):
    """Options, arguments or variables have wrong values."""

    exit_code = 2


def sentence(error: Exception) -> str:
    """Return the message of an expected error of `app` or `models`, with a full stop."""
    text = str(error)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a question that suggests the known word nearest to `word`; it is empty where none is near.

    `prefix` is put before the suggestion, where both are given without the prefix of their full names.
    """
    nearest = get_close_matches(word, list(known), n=1, cutoff=SIMILARITY)
    return f" Did you mean {prefix}{nearest[0]}?" if nearest else ""


def in_words(words: Sequence[str], conjunction: str = "or") -> str:
    """Join words as in a sentence, such as "a, b or c". Return "none" if there are no words."""
    *others, last = words or ["none"]
    return f"{', '.join(others)} {conjunction} {last}" if others else last
