"""The worked example in the model card (`README.md`) that the library sentence-transformers writes beside a model.

The example is a block of Python code: some texts, what the library is asked about them, and as a comment what it
printed. It is read as text and never executed.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

CARD_FILE = "README.md"
MAX_CARD_BYTES = 2**20
"""Maximum size of a card that is searched for an example."""

Kind = Literal["similarities", "scores"]

_BLOCK = re.compile(r"^```python\s*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PRINTED: dict[Kind, re.Pattern[str]] = {
    kind: re.compile(rf"^print\({kind}\)[ \t]*\n((?:#.*\n?)+)", re.MULTILINE) for kind in ("similarities", "scores")
}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class CardExample:
    """The texts of an example, and the numbers that the library printed for them.

    Attributes:
        kind: `similarities` of embeddings, or `scores` of pairs by a cross-encoder.
        queries: the texts that are compared with the documents; the first texts of pairs.
        documents: the texts that the queries are compared with; the second texts of pairs.
        are_roles: whether the library was told which texts are queries and which are documents.
        expected: the similarities `[queries, documents]`, or the scores `[pairs]` or `[pairs, n_labels]`.
        resolution: the place value of the last decimal that is printed.
    """

    kind: Kind
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    are_roles: bool
    expected: NDArray[np.float64]
    resolution: float


def read_card_example(folder: Path) -> CardExample | None:
    """Return the first example of a folder's card whose numbers are printed; None if there is none."""
    path = folder / CARD_FILE
    try:
        if not path.is_file() or path.stat().st_size > MAX_CARD_BYTES:
            return None
        card = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # a card is for people, and no part of the model
        return None
    return next(_find_examples(card), None)


def _find_examples(card: str) -> Iterator[CardExample]:
    for block in _BLOCK.findall(card):
        for kind, pattern in _PRINTED.items():
            printed = pattern.search(block)
            example = _parse_example(kind, block, printed[1]) if printed else None
            if example is not None:
                yield example


def _parse_example(kind: Kind, block: str, printed: str) -> CardExample | None:
    """Return the example of a block of code; None if its texts or its numbers are written in another way."""
    texts = _assigned_lists(block)
    if kind == "scores":
        pairs = texts.get("pairs", [])
        if not pairs or not all(_are_texts(pair) and len(pair) == 2 for pair in pairs):
            return None
        queries, documents = map(list, zip(*pairs, strict=True))
    elif "queries" in texts and "documents" in texts:
        queries, documents = texts["queries"], texts["documents"]
    else:
        queries = documents = texts.get("sentences", [])
    numbers = _NUMBER.findall(printed.partition("dtype")[0].partition("device")[0])
    n_rows = len(queries)
    n_columns = len(documents) if kind == "similarities" else len(numbers) // max(n_rows, 1)
    is_whole = _are_texts(queries) and _are_texts(documents) and len(numbers) == n_rows * n_columns
    if not numbers or not is_whole:
        return None
    return CardExample(
        kind=kind,
        queries=tuple(queries),
        documents=tuple(documents),
        are_roles="encode_query" in block or "encode_document" in block,
        expected=np.array(numbers, np.float64).reshape(n_rows, n_columns),
        resolution=10.0 ** -max(len(number.partition("e")[0].partition(".")[2]) for number in numbers),
    )


def _assigned_lists(block: str) -> dict[str, list[Any]]:
    """Return the lists of literals that a block of code assigns to names; none if the block is not Python."""
    try:
        statements: Sequence[ast.stmt] = ast.parse(block).body
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[str, list[Any]] = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                value = ast.literal_eval(statement.value)
            except (ValueError, TypeError, RecursionError):
                continue
            if isinstance(value, list):
                found[statement.targets[0].id] = value
    return found


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)
