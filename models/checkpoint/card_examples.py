"""The worked example in the model card (`README.md`) of a model of the library sentence-transformers.

The example is a block of Python code: some texts, what the library is asked about them, and as a comment what it
printed. The code is followed without executing it, and an example with anything that is not known here is left out.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from models.checkpoint.card_code import Computed, follow_code

CARD_FILE = "README.md"
MAX_CARD_BYTES = 2**20
"""Maximum size of a card that is searched for an example."""
MAX_BLOCK_CHARACTERS = 2**15
"""Maximum number of characters of a block of code, because Python needs much memory for the syntax of a long one."""

_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>```+|~~~+)[ \t]*(?:python3?|py)\b[^\n]*\n(?P<code>.*?)^(?P=indent)(?P=fence)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def read_card_example(folder: Path) -> Computed | None:
    """Return the first example of a folder's card whose numbers are printed; None if there is none."""
    path = folder / CARD_FILE
    try:
        if not path.is_file() or path.stat().st_size > MAX_CARD_BYTES:
            return None
        card = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # a card is for people, and no part of the model
        return None
    return next(_find_examples(card), None)


def _find_examples(card: str) -> Iterator[Computed]:
    for block in _BLOCK.finditer(card):
        if len(block["code"]) <= MAX_BLOCK_CHARACTERS:
            yield from follow_code(textwrap.dedent(block["code"]))
