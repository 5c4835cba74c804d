"""Places where a long text can be parted such that its parts have the same tokens as the whole.

A part is tokenised in a few milliseconds, in little memory, and the work can end between two parts. A place is a single
space, or a line break for most tokenizers, between two letters, digits or common marks of punctuation: tokenizers of
words part such a text there before anything else, and no step before that joins characters across it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

PART_CHARACTERS = 2**13
"""Number of characters after which the next place is taken, so that a part is mostly not much longer."""
MAX_RUN = 2**17
"""Maximum number of characters, after normalisation, of a text or a part of it that cannot be parted."""

_WINDOW = 2**16
"""Number of characters that are searched for a place at a time: a regular expression holds the interpreter."""
_LETTERS = (
    "A-Za-z0-9.,;:!?"
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af"  # Latin
    "\u0391-\u03a1\u03a3-\u03ab\u03ac-\u03ce\u0400-\u0481\u048a-\u04ff"  # Greek, Cyrillic
    "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"  # Hebrew, Arabic
    "\u3001\u3002\uff01\uff1f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3"  # Chinese, Japanese, Korean
)
"""Letters, digits and common marks of punctuation, none of which combines with a space beside it."""
_SAFE_NORMALIZERS = frozenset(
    {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Sequence", "StripAccents"}
)
_PARTED_AT_WHITE_SPACE = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})
_WITHOUT_CONTEXT = frozenset({"Digits", "Punctuation"})

_AT_SPACES, _AT_LINE_BREAKS = (re.compile(f"(?<=[{_LETTERS}]){white}(?=[{_LETTERS}])") for white in (" ", "[ \n]"))
_BESIDE_A_PLACE = re.compile(f"[{_LETTERS}]")

Step = Mapping[str, Any]
Places = re.Pattern[str]
"""A regular expression that matches the white space at which a text may be parted."""


def places_for(tokenizer: Tokenizer) -> Places | None:
    """Return the places at which texts may be parted for a tokenizer; None if it reads each text as a whole."""
    normalizer, pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    if normalizer is not None and not all(map(_is_local, _flat(_state(normalizer), "normalizers"))):
        return None
    added = tokenizer.get_added_tokens_decoder().values()
    contents = [token.content for token in added]
    if normalizer is not None:
        contents += [normalizer.normalize_str(content) for content in contents]
    if pre_tokenizer is None or not all(map(_is_apart, contents)):
        return None
    for step in _flat(_state(pre_tokenizer), "pretokenizers"):
        if step["type"] in _PARTED_AT_WHITE_SPACE or (step["type"] == "ByteLevel" and step.get("use_regex", True)):
            return _AT_LINE_BREAKS
        if step["type"] == "Metaspace" and step.get("split", True):
            return _AT_SPACES
        if step["type"] not in _WITHOUT_CONTEXT:
            return None
    return None


def places_for_sentencepiece(pieces: SentencePieceProcessor, added: Iterable[str]) -> Places | None:
    """Return the same for a model of sentencepiece, which has no pieces that go beyond a word, and its added tokens."""
    inner = ("▁" in pieces.id_to_piece(index)[1:] for index in range(pieces.get_piece_size()))
    return None if any(inner) or not all(map(_is_apart, added)) else _AT_SPACES


def part_bounds(text: str, places: Places | None) -> list[int]:
    """Return the bounds of the parts of a text: 0, the places between two parts, and the length of the text."""
    bounds = [0]
    if places is not None:
        while (place := _next_place(text, places, bounds[-1] + PART_CHARACTERS)) is not None:
            bounds.append(place)
    return [*bounds, len(text)]


def _next_place(text: str, places: Places, start: int) -> int | None:
    """Return the first place from `start`, followed by at least one character."""
    for first in range(start, len(text), _WINDOW):
        if found := places.search(text, first, min(first + _WINDOW + 2, len(text))):
            return found.start()
    return None


def _is_apart(token: str) -> bool:
    """Return whether an added token never touches a place: it has no white space, and no such character at its ends."""
    ends = token[:1] + token[-1:]
    return not any(map(str.isspace, token)) and not _BESIDE_A_PLACE.search(ends)


def _is_local(step: Step) -> bool:
    """Return whether a step of a normaliser changes the characters on both sides of a place independently."""
    if step["type"] == "Replace":
        pattern = step["pattern"]
        if "String" in pattern:
            return not any(character.isspace() or character == "▁" for character in pattern["String"])
        return bool(pattern == {"Regex": " {2,}"} and step["content"] == " ")
    return step["type"] in _SAFE_NORMALIZERS


def _state(step: Any) -> Step:
    state: Step = json.loads(step.__getstate__())
    return state


def _flat(step: Step, name: str) -> list[Step]:
    """Return the steps of a sequence, and of the sequences in it, in their order."""
    return [leaf for part in step[name] for leaf in _flat(part, name)] if name in step else [step]
