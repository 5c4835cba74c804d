"""Telling texts that are surely tokenised in about two milliseconds from those that may take longer.

A tokenizer takes about half a microsecond for a character of English. It takes ten times as long for words of a hundred
letters, of which it tries every part, and thirty times as long for characters that normalisation makes many of.
"""

import re
from collections.abc import Iterator
from typing import Any

SURE_BYTES = 256
"""Size of a body, in bytes, up to which any texts are tokenised on the event loop."""
MAX_BYTES = 1024
"""Size of a body, in bytes, up to which usual texts are."""
MAX_QUICK_TARGETS = 8
"""Number of targets up to which a body counts as quick: each is tokenised several times."""

_UNUSUAL = re.compile(r"[^\x00-\x7f]|\S{25}")
"""A character or a word that may take much longer than others."""


def are_quick_texts(body: Any, n_bytes: int) -> bool:
    """Return whether the texts of a checked body, which was received as `n_bytes` bytes, are surely tokenised soon."""
    if n_bytes > MAX_BYTES:
        return False
    targets = getattr(getattr(body, "parameters", None), "targets", None)
    if targets is not None and len(targets) > MAX_QUICK_TARGETS:
        return False
    return n_bytes <= SURE_BYTES or not any(map(_UNUSUAL.search, _texts(body.inputs)))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            if type(element) is not int:
                yield from _texts(element)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
