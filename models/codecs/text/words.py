"""The words of a text: runs of letters, digits and the marks on them.

White space, punctuation and symbols part words, much as in BERT's tokenizer. So do all characters of scripts that are
written without spaces, because only the tokens of a model say which of them belong together.
"""

import unicodedata
from functools import lru_cache

MAX_WORD = 100
"""Maximum number of characters by which a part of a word is extended; BERT's tokenizer knows no longer words."""
UNSPACED_SCRIPTS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31F0, 0x31FF),  # Katakana
    (0x3400, 0x4DBF),  # Chinese characters, like the ranges below
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # Katakana
    (0x20000, 0x3FFFF),
)
"""First and last code points of scripts that are written without spaces."""


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the place without the white space at its beginning and its end."""
    part = text[start:end]
    first = start + len(part) - len(part.lstrip())
    return first, first + len(part.strip())


def is_within_word(text: str, place: int) -> bool:
    """Return whether the characters before and after a place are of one word."""
    return 0 < place < len(text) and not _parts_words(text[place - 1]) and not _parts_words(text[place])


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Extend a part of a text to whole words, except where that would take `MAX_WORD` characters or more."""
    first = next((place for place in range(start, start - MAX_WORD, -1) if not is_within_word(text, place)), start)
    last = next((place for place in range(end, end + MAX_WORD) if not is_within_word(text, place)), end)
    return first, last


@lru_cache(maxsize=4096)
def _parts_words(character: str) -> bool:
    if character.isspace() or unicodedata.category(character)[0] in "PSZ":
        return True
    return any(first <= ord(character) <= last for first, last in UNSPACED_SCRIPTS)
