"""The tokens that a request names are those that an answer calls so."""

import pytest

from models.codecs.arrays import Limits
from models.codecs.text import TokenizersCodec
from models.codecs.text.targets import MAX_TARGET_CHARACTERS, find_targets
from models.errors import InvalidItems
from tests.models.codecs.letter_tokenizers import byte_level, codec_on, metaspace, wordpiece

LIMITS = Limits(max_items=1, max_pixels=1)
CODECS = {
    "uncased": codec_on(wordpiece("ab", "##ab", "paris", lowercase=True)),
    "cased": codec_on(wordpiece("Paris", "ab")),
    "byte-level": codec_on(byte_level(" ab", "ab", " xy")),
    "metaspace": codec_on(metaspace("ab", "▁ab", "▁xy")),
}


def tokens(codec: TokenizersCodec, *targets: str) -> list[str]:
    return [codec.token(token_id) for token_id in find_targets(targets, codec, LIMITS)]


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("uncased", "paris", ["paris"]),
        ("uncased", "Paris", ["paris"]),
        ("uncased", "ab", ["ab"]),
        ("uncased", "##ab", ["##ab"]),
        ("uncased", "##AB", ["##ab"]),
        ("uncased", " ab", ["ab"]),
        ("uncased", "[SEP]", ["[SEP]"]),
        ("cased", "Paris", ["Paris"]),
        ("byte-level", "ab", ["ab"]),
        ("byte-level", " ab", ["Ġab"]),
        ("byte-level", "Ġab", ["Ġab"]),
        ("byte-level", "xy", ["Ġxy"]),  # there is no `xy` that continues a word
        ("byte-level", " ", ["Ġ"]),
        ("metaspace", "ab", ["ab", "▁ab"]),  # an answer calls both `ab`
        ("metaspace", "▁ab", ["▁ab"]),
        ("metaspace", "xy", ["▁xy"]),
        ("metaspace", "東", ["東"]),
    ],
)
def test_a_target_is_spelt_as_in_the_answer_or_the_vocabulary(kind: str, target: str, expected: list[str]) -> None:
    assert tokens(CODECS[kind], target) == expected


@pytest.mark.parametrize("kind", CODECS)
def test_every_token_is_found_by_its_text(kind: str) -> None:
    codec = CODECS[kind]
    for token_id in range(codec.vocab_size):
        text = codec.token_text(token_id)
        if text and "\ufffd" not in text:  # some tokens are parts of characters
            assert token_id in find_targets([text], codec, LIMITS), codec.token(token_id)


@pytest.mark.parametrize(
    ("kind", "target", "detail"),
    [
        *((kind, "", "the target is empty") for kind in CODECS),
        *((kind, "no", "the target 'no' is 2 tokens") for kind in CODECS),
        ("cased", "paris", "is 5 tokens, ['p', '##a', '##r', '##i', '##s']; it must be a single one"),
        ("byte-level", "XY", "is 2 tokens, ['X', 'Y']"),
        ("uncased", "語", "the target '語' is no token"),
        ("uncased", "ab ab", "is 2 tokens, ['ab', 'ab']"),
        ("uncased", "\x00", "is no token"),
        ("uncased", "\ud800", "is no token"),
        ("metaspace", "語", "is no token"),
        ("byte-level", "x" * (MAX_TARGET_CHARACTERS + 1), "the target has 257 characters; the limit is 256"),
    ],
)
def test_what_is_not_one_token_is_refused_by_its_place(kind: str, target: str, detail: str) -> None:
    with pytest.raises(InvalidItems) as refused:
        find_targets(["ab", target], CODECS[kind], LIMITS)
    (problem,) = refused.value.problems
    assert problem.parameter == "targets/1"
    assert detail in problem.detail


def test_targets_of_one_token_count_once() -> None:
    assert tokens(CODECS["uncased"], "ab", "AB", "paris", "ab") == ["ab", "paris"]
