"""The words of texts, and parts of texts that are extended to whole words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codecs.text.words import MAX_WORD, is_within_word, trim, whole_words


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("met Merkel.", "erk", "Merkel"),
        ("the B52s (old)", "52", "B52s"),
        ("Merkel's", "rk", "Merkel"),
        ("Jean-Baptiste", "Bap", "Baptiste"),
        ("nai\u0308ve", "a", "nai\u0308ve"),
        ("Mer\u00adkel", "Mer", "Mer\u00adkel"),
        ("cost €50", "5", "50"),
        ("東京都", "京", "京"),
        ("อยู่", "ย", "ย"),
        ("नमस्ते दुनिया", "म", "नमस्ते"),
        ("서울에서", "울", "서울에서"),
    ],
)
def test_parts_are_extended_to_whole_words(text: str, part: str, expected: str) -> None:
    start = text.index(part)
    first, last = whole_words(text, start, start + len(part))
    assert text[first:last] == expected


def test_runs_without_end_are_no_words() -> None:
    text = "x" * 3 * MAX_WORD
    assert whole_words(text, MAX_WORD, MAX_WORD + 1) == (MAX_WORD, MAX_WORD + 1)
    assert whole_words(text, MAX_WORD - 1, 2 * MAX_WORD + 1) == (0, 3 * MAX_WORD)


@given(st.text(st.sampled_from("a1é .,-\n\u0301東"), max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_a_part_keeps_its_characters(text: str, start: int, end: int) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    first, last = trim(text, start, end)
    assert text[first:last] == text[start:end].strip()
    wide_first, wide_last = whole_words(text, start, end)
    assert wide_first <= start <= end <= wide_last
    assert not any(is_within_word(text, place) for place in (wide_first, wide_last))
