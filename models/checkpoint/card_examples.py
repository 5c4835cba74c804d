"""The worked example in the model card (`README.md`) of a model of the library sentence-transformers.

The example is a block of Python code: some texts, what the library is asked about them, and as a comment what it
printed. The code is followed without executing it, and an example with anything that is not known here is left out.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from models.checkpoint.card_code import Computed, follow_code
from models.errors import CheckpointError
from models.regular_files import read_file

CARD_FILE = "README.md"
MAX_CARD_BYTES = 2**20
"""Maximum size of a card that is searched for an example."""
MAX_BLOCK_CHARACTERS = 2**15
"""Maximum number of characters of a block of code, because Python needs much memory for the syntax of a long one."""

_OPENING = re.compile(r"\s*(```+|~~~+)\s*(?:python3?|py)\b.*", re.IGNORECASE)
"""The line before a block of Python; the one after it begins with the same marks."""


def read_card_example(folder: Path) -> Computed | None:
    """Return the first example of a folder's card whose numbers are printed; None if there is none."""
    try:
        card = read_file(folder / CARD_FILE, CARD_FILE, max_bytes=MAX_CARD_BYTES).decode(errors="replace")
    except CheckpointError:  # a card is for people, and no part of the model
        return None
    try:
        return next(_find_examples(card), None)
    except RecursionError:  # the code is nested too deeply to be an example
        return None


def _find_examples(card: str) -> Iterator[Computed]:
    for code in _find_code(card):
        if len(code) <= MAX_BLOCK_CHARACTERS:
            yield from follow_code(textwrap.dedent(code))


def _find_code(card: str) -> Iterator[str]:
    """Yield the blocks of Python that are closed."""
    lines: list[str] = []
    marks = ""
    for line in card.split("\n"):
        if not marks:
            opening = _OPENING.fullmatch(line)
            lines, marks = [], opening[1] if opening else ""
        elif line.lstrip().startswith(marks):
            yield "\n".join(lines)
            marks = ""
        else:
            lines.append(line)
