"""Long texts: their parts have the tokens of the whole, their size is known beforehand, and the work can end."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from models.cancellation import WorkAbandoned, watch_caller
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec, TextItem, long_texts, parting, tokenizers_codec
from models.codecs.text.parting import MAX_RUN, part_bounds, places_for
from models.codecs.text.sizes import sizes_for
from models.errors import InvalidItems
from models.tasks.text import Tokens
from tests.models.codecs.letter_tokenizers import byte_level, codec_on, metaspace, wordpiece
from tests.models.codecs.test_text import SHIPPED, codec_of

LIMITS = Limits(max_items=64, max_pixels=1)
WORDS = [
    "the",
    "fox.",
    "[MASK]",
    "<mask>",
    "</s>",
    "isn't",
    "Über",
    "naïve",
    "日本。",
    "ﷺ",
    "ﬁne",
    "12",
    "e\u0301",
    "😀",
]
WORDS += ["\u200b", "한국어", "İs", "ß", "(a)", "``", "Мир", "\u0600", "q" * 30, "ไทย", "?!", "“x”"]
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", " ", " ", "\n", "  ", "", ", "])), max_size=30)
joined = texts.map(lambda pairs: "".join(word + space for word, space in pairs))


@pytest.fixture(
    scope="module",
    params=["albert/albert-mini-en", "bert/bert-mini-en", "gpt/gpt-mini-en", "roberta/roberta-agnews-en"],
)
def shipped(request: pytest.FixtureRequest) -> TextCodec:
    return codec_of(SHIPPED / request.param, request.param.partition("/")[0])


@contextmanager
def short_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (parting, tokenizers_codec):
            patch.setattr(module, "PART_CHARACTERS", 20)
        patch.setattr(parting, "_WINDOW", 7)
        patch.setattr(tokenizers_codec, "CHARACTERS_AT_ONCE", 60)
        patch.setattr(tokenizers_codec, "MAX_LOCKED_CHARACTERS", 1)
        yield


def described(tokens: Tokens) -> tuple[Any, ...]:
    return tokens.ids.tolist(), tokens.type_ids.tolist(), tokens.sources, dataclasses.astuple(tokens.details())


def everything(codec: TextCodec, text: str, pair: str) -> list[Any]:
    """Return what a codec makes of two texts: all their tokens, those that are kept of them, and the windows."""
    results = [*codec.encode_all([text, pair, text], add_special_tokens=False), codec.encode(text, pair)]
    results += [codec.encode(text), codec.encode(text, add_special_tokens=False)]
    codec.preferred_length = 17
    for side in ("left", "right"):
        results += [codec.encode_truncated(text, None, side), codec.encode_truncated(text, pair, side)]
    codec.preferred_length = None
    max_tokens, codec.max_tokens = codec.max_tokens, 40
    try:
        results += codec.windows("the fox", text, 3)
    finally:
        codec.max_tokens = max_tokens
    return list(map(described, results))


@given(text=joined, pair=joined)
@settings(max_examples=10)
def test_parts_have_the_tokens_of_the_whole(shipped: TextCodec, text: str, pair: str) -> None:
    expected = everything(shipped, text, pair)
    with short_parts():
        assert everything(shipped, text, pair) == expected


def test_a_long_text_is_parted_between_words() -> None:
    text = "the quick brown fox jumps over the lazy dog. " * 9
    with short_parts():
        bounds = part_bounds(text, places_for(wordpiece()))
    assert len(bounds) > 10
    assert all(text[bound] == " " and text[bound - 1] != " " for bound in bounds[1:-1])
    assert all(20 <= end - start < 40 for start, end in list(pairwise(bounds))[:-1])
    assert part_bounds(text, None) == [0, len(text)]
    assert part_bounds("a" * 99, places_for(wordpiece())) == [0, 99]


def _with(tokenizer: Tokenizer, **changes: Any) -> Tokenizer:
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    return tokenizer


def _unparted() -> Iterator[tuple[str, Tokenizer]]:
    metaspaces = pre_tokenizers.Metaspace(split=False)
    yield "words across spaces", _with(metaspace(), pre_tokenizer=metaspaces)
    yield "no words", _with(Tokenizer(models.BPE({"a": 0}, [])), pre_tokenizer=pre_tokenizers.Digits())
    yield "a normaliser of ends", _with(wordpiece(), normalizer=normalizers.Strip())
    joining = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("a b", "c")])
    yield "a normaliser that joins words", _with(wordpiece(), normalizer=joining)
    added = wordpiece()
    added.add_tokens(["New York"])
    yield "an added token of two words", added
    letters = wordpiece()
    letters.add_tokens(["dog"])
    yield "an added token that begins like a word", letters


@pytest.mark.parametrize(("name", "tokenizer"), list(_unparted()))
def test_a_text_is_not_parted_where_its_tokens_might_change(name: str, tokenizer: Tokenizer) -> None:
    assert places_for(tokenizer) is None


@pytest.mark.parametrize("make", [wordpiece, byte_level, metaspace])
def test_a_text_is_parted_for_the_usual_kinds(make: Any) -> None:
    assert places_for(make()) is not None


@given(text=st.text(max_size=40))
@settings(max_examples=20)
def test_a_text_never_becomes_longer_than_its_size(shipped: TextCodec, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    normalized = shipped.normalize(text)
    is_byte_level = shipped.sizes.total("é") == 2
    assert shipped.sizes.total(text) >= (len(normalized.encode()) if is_byte_level else len(normalized))


@pytest.mark.parametrize(
    ("normalizer", "text", "size"),
    [
        (normalizers.NFKD(), "ﷺ" * 3, 54),
        (normalizers.NFD(), "ﷺ" * 3, 3),
        (normalizers.Replace("ab", "a" * 9), "ab" * 4, 8 * 5),
        (normalizers.Replace("a", "a" * 9), "ab", 10),
        (normalizers.Sequence([normalizers.NFKC(), normalizers.Prepend("__")]), "a", 3),
        (normalizers.StripAccents(), "\u0301" * 5, 5),
        (None, "é", 1),
    ],
)
def test_the_size_of_a_text(normalizer: Any, text: str, size: int) -> None:
    tokenizer = wordpiece()
    tokenizer.normalizer = normalizer
    assert sizes_for(tokenizer).total(text) == size


def test_a_text_is_refused_that_becomes_too_long() -> None:
    tokenizer = metaspace()
    tokenizer.normalizer = normalizers.NFKD()
    codec = codec_on(tokenizer)
    limits = dataclasses.replace(LIMITS, max_characters=100)
    assert codec.parse(["ﷺ" * 5], limits)
    refusal = "the text has 6 characters, and up to 108 as the tokenizer reads it; the limit is 100, max_characters"
    with pytest.raises(InvalidItems, match=refusal):
        codec.parse(["ﷺ" * 6], limits)
    with pytest.raises(InvalidItems, match="text_pair has 1048576 characters, and up to 18874368 as the tokenizer"):
        codec.parse([{"text": "a", "text_pair": "ﷺ" * 2**20}], LIMITS)
    limits = dataclasses.replace(LIMITS, max_characters=3000)
    assert codec_on(byte_level()).parse(["é " * 1000], limits)
    with pytest.raises(InvalidItems, match="the text has 2002 characters, and up to 3003 as the tokenizer reads it"):
        codec_on(byte_level()).parse(["é " * 1001], limits)


def test_a_text_without_words_is_refused_where_it_cannot_be_parted() -> None:
    codec = codec_on(wordpiece())
    assert codec.parse(["a" * MAX_RUN], LIMITS)
    with pytest.raises(InvalidItems, match=f"up to {MAX_RUN + 1} characters without a space between two words"):
        codec.parse(["a" * (MAX_RUN + 1)], LIMITS)
    with pytest.raises(InvalidItems, match=f"without a space between two words; the limit is {MAX_RUN}"):
        codec.parse(["a b " + "é" * (MAX_RUN + 1)], LIMITS)
    assert codec.parse(["a b " * MAX_RUN], LIMITS)
    whole = codec_on(_with(wordpiece(), normalizer=normalizers.Strip()))
    with pytest.raises(InvalidItems, match=f"characters at once; the limit is {MAX_RUN}"):
        whole.parse(["a b " * MAX_RUN], LIMITS)


def test_tokenising_ends_once_the_caller_has_left() -> None:
    codec, n_asked = codec_on(wordpiece()), 0

    def has_left() -> bool:
        nonlocal n_asked
        n_asked += 1
        return n_asked > 3

    watch_caller(has_left)
    try:
        with pytest.raises(WorkAbandoned):
            codec.tokenize([TextItem("a b " * 2**18)])
        assert n_asked == 4
        with pytest.raises(WorkAbandoned):
            codec.tokenize([TextItem("a b")] * 3)
    finally:
        watch_caller(None)


def test_only_the_end_of_a_long_text_is_tokenised_for_what_is_kept_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, seen = codec_on(wordpiece(), 16), 0
    read = long_texts.PartEncoder._parts

    def counted(self: Any, text: str, bounds: Any) -> Any:
        nonlocal seen
        seen += bounds[-1] - bounds[0]
        return read(self, text, bounds)

    monkeypatch.setattr(long_texts.PartEncoder, "_parts", counted)
    text = "".join(f"{number} " for number in range(40_000))
    for side in ("left", "right"):
        seen = 0
        kept = codec.encode_truncated(text, None, side)
        assert 0 < seen < len(text) // 4
        digits = [codec.token(token).removeprefix("##") for token in kept.ids.tolist()[1:-1]]
        assert [text[start:end] for start, end in kept.details().offsets[1:-1]] == digits
        written = text.replace(" ", "")
        assert "".join(digits) == (written[-14:] if side == "left" else written[:14])
    seen, truncated = 0, list[int]()
    items = [TextItem("a"), TextItem(text)]
    _, cut = codec.tokenize(items, truncate=True, note_truncated=truncated.append)
    assert 0 < seen < len(text) // 4
    assert truncated == [1]
    assert described(cut)[0] == codec.encode_truncated(text, None, "right").ids.tolist()


def test_the_tokenizers_of_the_shipped_models_part_texts() -> None:
    files = sorted(Path(SHIPPED).glob("*/*/tokenizer.json"))
    assert files
    assert all(places_for(Tokenizer.from_file(str(file))) is not None for file in files)
