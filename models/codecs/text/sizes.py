"""How long a text becomes when its tokenizer normalises it, found before the tokenizer sees the text.

A character may become many: NFKD makes 18 of U+FDFA, and a tokenizer of bytes reads up to four bytes of each character.
The library `tokenizers` keeps about 200 bytes of memory for each byte of a normalised text, so that a text of 3 MB may
take gigabytes; an upper bound of the length is found in about 10 ns a character instead.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram

N_CODE_POINTS = 0x110000
_MAX_SIZE = np.iinfo(np.uint16).max
_FALLS_BACK = b'"byte_fallback":true'
"""Part of the description of a model that has tokens of bytes; the library has no attribute for it in all models."""


class TextSizes:
    """An upper bound of the number of characters, or bytes, that each character of a text becomes.

    Attributes:
        factor: what all sizes are multiplied by, for replacements that make several characters longer.
        is_plain_ascii: whether an ASCII character never becomes several.
    """

    def __init__(self, normalize: Callable[[str], str] | None, *, counts_bytes: bool = False, factor: int = 1) -> None:
        """Create the sizes of a tokenizer.

        Args:
            normalize: normalises a text as the tokenizer does; None if it leaves texts as they are.
            counts_bytes: whether the tokenizer reads the bytes of a text in UTF-8, each as a character.
            factor: the growth that is not seen in single characters.
        """
        self._normalize, self._counts_bytes, self.factor = normalize, counts_bytes, factor
        self._known: NDArray[np.uint16] | None = None
        ascii_sizes = [self._size_of(chr(code)) for code in range(128)]
        self.is_plain_ascii = factor == 1 and max(ascii_sizes) == 1

    def of(self, text: str) -> NDArray[np.uint16]:
        """Return the size of each character of a text without lone surrogates; `factor` is not yet multiplied."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        if self._known is None:
            self._known = np.zeros(N_CODE_POINTS, np.uint16)
        sizes = self._known[codes]
        if not sizes.all():
            for code in np.flatnonzero(np.bincount(codes[sizes == 0])).tolist():
                self._known[code] = self._size_of(chr(code))
            sizes = self._known[codes]
        return sizes

    def total(self, text: str) -> int:
        """Return the size of a text without lone surrogates, never less than its number of characters."""
        if self.is_plain_ascii and text.isascii():
            return len(text)
        return self.factor * int(self.of(text).sum(dtype=np.int64))

    def _size_of(self, character: str) -> int:
        """Return by how much a text grows with one more such character; what is removed counts as one."""
        if self._normalize is None:
            grown = self._length(character)
        else:
            grown = self._length(self._normalize(character * 2)) - self._length(self._normalize(character))
        return min(max(grown, 1), _MAX_SIZE)

    def _length(self, text: str) -> int:
        return len(text.encode()) if self._counts_bytes else len(text)


def sizes_for(tokenizer: Tokenizer) -> TextSizes:
    """Return the sizes of texts for a tokenizer of the library `tokenizers`."""
    normalizer = tokenizer.normalizer
    steps = _steps(normalizer)
    return TextSizes(
        None if normalizer is None else normalizer.normalize_str,
        counts_bytes=_reads_bytes(tokenizer),
        factor=math.prod(map(_growth, steps)),
    )


def _reads_bytes(tokenizer: Tokenizer) -> bool:
    """Return whether the tokenizer's characters are bytes, at least those that its vocabulary lacks."""
    first: Any = tokenizer.pre_tokenizer
    parts = [*cast("Iterable[Any]", first)] if isinstance(first, pre_tokenizers.Sequence) else [first]
    if any(isinstance(part, pre_tokenizers.ByteLevel) for part in parts):
        return True
    return isinstance(tokenizer.model, BPE | Unigram) and _FALLS_BACK in tokenizer.model.__getstate__()


def _steps(normalizer: normalizers.Normalizer | None) -> list[Mapping[str, Any]]:
    """Return the steps of a normaliser as `tokenizer.json` describes them."""
    if normalizer is None:
        return []
    state = json.loads(normalizer.__getstate__())
    found: list[Mapping[str, Any]] = []
    waiting = [state]
    while waiting:
        step = waiting.pop()
        waiting += step.get("normalizers", [])
        found.append(step)
    return found


def _growth(step: Mapping[str, Any]) -> int:
    """Return by what factor a step may lengthen a text that its single characters do not show."""
    if step["type"] == "Prepend":
        return 1 + len(step["prepend"])  # before each part of a text between two added tokens
    if step["type"] != "Replace":
        return 1
    replaced, n_new = step["pattern"].get("String"), len(step["content"])
    if replaced is None:
        return max(1, n_new)  # a regular expression may match any character
    return 1 if len(replaced) == 1 else max(1, math.ceil(n_new / max(1, len(replaced))))
