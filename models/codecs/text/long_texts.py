"""Tokenising long texts part by part, each in a few milliseconds, on one core, and without the interpreter's lock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.cancellation import stop_if_abandoned
from models.codecs.text.parting import Places, part_bounds
from models.tasks.text import Details, TruncationSide

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens before, between and after the texts of an item, and the types of all tokens.

    Attributes:
        ids: the ids of the special tokens at each of these places.
        types: their types.
        text_types: the type of the tokens of each text.
    """

    ids: tuple[Ids, ...]
    types: tuple[Ids, ...]
    text_types: tuple[int, ...]

    def around(self, texts: Sequence[Ids]) -> tuple[Ids, Ids]:
        """Return the ids and the types of the tokens of these texts with the special tokens."""
        ids, types = [self.ids[0]], [self.types[0]]
        for index, text in enumerate(texts):
            ids += [text, self.ids[index + 1]]
            types += [np.full(len(text), self.text_types[index], np.int64), self.types[index + 1]]
        return np.concatenate(ids), np.concatenate(types)

    def details_around(self, offsets: Sequence[list[tuple[int, int]]]) -> Details:
        """Return the details of the tokens of these texts with those of the special tokens."""
        all_offsets = [(0, 0)] * len(self.ids[0])
        texts: list[int | None] = [None] * len(self.ids[0])
        for index, each in enumerate(offsets):
            n_special = len(self.ids[index + 1])
            all_offsets += [*each, *[(0, 0)] * n_special]
            texts += [*[index] * len(each), *[None] * n_special]
        return Details(offsets=all_offsets, texts=texts)


def find_frame(tokenizer: Tokenizer, n_texts: int, *, add_special_tokens: bool) -> Frame | None:
    """Return the frame of items of one or two texts; None if a sample does not show it."""
    try:
        sample = tokenizer.encode("a", "a" if n_texts > 1 else None, add_special_tokens=add_special_tokens)
    except Exception:  # the library has no narrower one; the vocabulary lacks the letter and an unknown token
        return None
    texts = sample.sequence_ids
    if not all(index in texts for index in range(n_texts)):
        return None
    bounds = [0]
    for index in range(n_texts):
        first = texts.index(index)
        bounds += [first, first + texts.count(index)]
    bounds.append(len(texts))
    places = [slice(start, end) for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    if any(text is not None for place in places for text in texts[place]):
        return None
    ids, types = np.array(sample.ids, np.int64), np.array(sample.type_ids, np.int64)
    text_types = tuple(int(types[bound]) for bound in bounds[1:-1:2])
    return Frame(tuple(ids[place] for place in places), tuple(types[place] for place in places), text_types)


class PartEncoder:
    """Tokenises texts part by part, without special tokens."""

    def __init__(self, tokenizer: Tokenizer, places: Places | None) -> None:
        self._tokenizer, self._places = tokenizer, places

    def ids(self, text: str) -> Ids:
        """Return the ids of a text's tokens."""
        parts = [ids for _, _, ids in self._parts(text, part_bounds(text, self._places))]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the place of each token in a text."""
        found: list[tuple[int, int]] = []
        for start, end in pairwise(part_bounds(text, self._places)):
            stop_if_abandoned()
            first, n_before = self._context(text, start)
            (encoding,) = self._tokenizer.encode_batch([text[first:end]], add_special_tokens=False)
            offsets = encoding.offsets[n_before:]
            found += offsets if first == 0 else [(first + one, first + other) for one, other in offsets]
        return found

    def holding(self, text: str, n_tokens: int, side: TruncationSide) -> tuple[int, int]:
        """Return the first character and the end of a part of a text that has the tokens kept of it.

        These are the first `n_tokens` tokens where texts are cut at their right, and the last ones otherwise. A part
        that does not begin the text has a character more at its beginning, which belongs to no such token.
        """
        bounds = part_bounds(text, self._places)
        if len(bounds) == 2:
            return 0, len(text)
        if side == "left":
            bounds = bounds[::-1]
        n_found = 0
        for one, other in pairwise(bounds):
            start, end = min(one, other), max(one, other)
            ((_, _, ids),) = self._parts(text, [start, end])
            n_found += len(ids)
            if n_found >= n_tokens:
                return (0, end) if side == "right" else (max(0, start - 1), len(text))
        return 0, len(text)

    def _parts(self, text: str, bounds: Sequence[int]) -> Iterator[tuple[int, int, Ids]]:
        """Yield the first character, the end, and the ids of each part."""
        for start, end in pairwise(bounds):
            stop_if_abandoned()
            first, n_before = self._context(text, start)
            (encoding,) = self._tokenizer.encode_batch_fast([text[first:end]], add_special_tokens=False)
            yield start, end, np.array(encoding.ids[n_before:], np.int64)

    def _context(self, text: str, start: int) -> tuple[int, int]:
        """Return the character from which the part at `start` is tokenised, and the number of tokens before the part.

        The character before the part is a word by itself there, so that the part is not taken for a text's beginning.
        """
        if start == 0:
            return 0, 0
        return start - 1, len(self._tokenizer.encode(text[start - 1], add_special_tokens=False).ids)
