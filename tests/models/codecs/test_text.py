"""Codecs of texts: their tokens compared with those of `transformers`, on ordinary and on hostile texts."""

import dataclasses
import gzip
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from models.catalogue import family
from models.codecs.arrays import Limits
from models.codecs.text import SpecialTokens, TextCodec, TextItem, TokenizersCodec, clean_text, read_text_codec
from models.codecs.text.assembly import TextAssembly
from models.codecs.text.tokenizers_codec import divide_room
from models.errors import CheckpointError, InvalidItems, Problem
from models.tasks.text import Tokens
from tests.models.codecs.letter_tokenizers import codec_on, wordpiece
from tests.models.transformers.vocabularies import write_tokenizer

LIMITS = Limits(max_items=10, max_pixels=1, max_characters=2**18)
SHIPPED = Path(__file__).parents[3] / "weights/transformers"
VOCABULARIES = Path(__file__).parents[4] / "shared/data/tokenizers"
HOSTILE = {
    "plain": "The quick brown fox, isn't it? 3.14 (really).",
    "empty": "",
    "spaces": "  two  spaces \t tab \n\n lines  ",
    "emoji": "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ☺️ 🫠",
    "combining": "e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343\u036a",
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eabc\u202c",
    "cjk": "東京都に住んでいます。안녕하세요 你好",
    "control": "a\x00b\x07c\x1b[31m\x7f\u200b\ufeff\u00ad",
    "null": "\x00",
    "one letter": "a" * 100_000,
    "long word": "Donaudampfschifffahrtsgesellschaft" * 30,
    "special": "[CLS] [MASK] <s> </s> <mask> <|endoftext|> >>de<< <pad>",
    "quotes": "``quoted'' “curly” — … ½ ﬁ Å",
    "surrogate": clean_text("a \ud800 b \udfff", LIMITS),
    "markup": "<b>x</b> & &amp; https://example.org/?q=1#a user@host",
    "accents": "Crème brûlée, Ñandú, Łódź, İstanbul, ẞ",
}


@pytest.fixture(scope="module")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes published vocabularies into a folder, under the names that checkpoints use."""
    if not VOCABULARIES.exists():
        pytest.skip("the published vocabularies are missing")

    def unpacked(**files: str) -> Path:
        folder = tmp_path_factory.mktemp("tokenizer")
        for name, source in files.items():
            target = folder / name.replace("_", ".")
            with gzip.open(VOCABULARIES / f"{source}.gz") as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out)
        return folder

    return unpacked


def codec_of(folder: Path, family_name: str, max_tokens: int = 512) -> TextCodec:
    tokenizer = family(f"transformers/{family_name}").tokenizer
    assert tokenizer is not None
    return read_text_codec(folder, "mine", tokenizer, max_tokens=max_tokens)


def reference_tokenizer(kind: str, folder: Path, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(transformers, kind).from_pretrained(folder, **settings)


def assert_agrees(codec: TextCodec, reference: Any, text: str, pair: str | None = None) -> None:
    mine = codec.encode(text, pair)
    expected = reference(text, pair, return_offsets_mapping=True, return_token_type_ids=True)
    assert mine.ids.tolist() == expected["input_ids"]
    assert mine.type_ids.tolist() == expected["token_type_ids"]
    assert [tuple(span) for span in mine.details().offsets] == [tuple(span) for span in expected["offset_mapping"]]
    assert codec.decode(mine.ids.tolist()) == reference.decode(
        expected["input_ids"], skip_special_tokens=True, clean_up_tokenization_spaces=False
    ) or codec.decode(mine.ids.tolist()) == reference.decode(expected["input_ids"], skip_special_tokens=True)


KINDS = {
    "uncased": ("bert", "BertTokenizer", {"vocab_txt": "bert-base-uncased-vocab.txt"}, {"do_lower_case": True}),
    "cased": ("bert", "BertTokenizer", {"vocab_txt": "bert-base-cased-vocab.txt"}, {"do_lower_case": False}),
    "gpt2": ("gpt", "GPT2Tokenizer", {"vocab_json": "gpt2-vocab.json", "merges_txt": "gpt2-merges.txt"}, {}),
    "roberta": (
        *("roberta", "RobertaTokenizer"),
        {"vocab_json": "roberta-base-vocab.json", "merges_txt": "roberta-base-merges.txt"},
        {},
    ),
}
MASK_OPTIONS = {"roberta": {"mask_token": transformers.AddedToken("<mask>", lstrip=True, special=True)}}
"""Options of the reference that the published `tokenizer.json` has: the mask includes the space before it."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["older files", "tokenizer.json"])
def test_published_vocabularies_agree_with_the_reference(
    unpack: Callable[..., Path], kind: str, form: str, tmp_path: Path
) -> None:
    family, name, files, settings = KINDS[kind]
    folder = unpack(**files)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    reference = reference_tokenizer(name, folder, **settings, **MASK_OPTIONS.get(kind, {}))
    if form == "tokenizer.json":
        folder = tmp_path
        reference.save_pretrained(folder)
    codec = codec_of(folder, family)
    for text in HOSTILE.values():
        assert_agrees(codec, reference, text)
    if family != "gpt":
        assert_agrees(codec, reference, HOSTILE["plain"], HOSTILE["emoji"])
        assert codec.special.mask == reference.mask_token_id


def test_unigrams_agree_with_the_reference(unpack: Callable[..., Path]) -> None:
    folder = unpack(spiece_model="t5-base-spiece.model")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    names = {"cls_token": "<pad>", "sep_token": "</s>", "mask_token": "<unk>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**names, "do_lower_case": False, "keep_accents": True}))
    codec = codec_of(folder, "albert")
    for name, text in HOSTILE.items():
        if name in ("special", "quotes"):  # special tokens are not split, and ALBERT's quotes are replaced
            continue
        ids = codec.encode(text, add_special_tokens=False).ids.tolist()
        expected = pieces.encode(text)
        if name in ("control", "null", "spaces", "combining", "right-to-left"):
            known = pieces.decode(expected).replace("⁇", "")
            assert "".join(codec.decode(ids).split()) == "".join(known.split())
        else:
            assert ids == expected, name


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_truncation_agrees_with_the_reference(unpack: Callable[..., Path], family: str) -> None:
    _, name, files, settings = KINDS["uncased" if family == "bert" else "gpt2"]
    folder = unpack(**files)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    reference = reference_tokenizer(name, folder, **settings)
    long, short = "the red dog runs " * 9, "a cat sleeps"
    for limit in (5, 8, 13, 20):
        codec = codec_of(folder, family, limit)
        pairs = ((long, None), (long, short), (short, long), (long, long)) if family == "bert" else ((long, None),)
        for text, pair in pairs:
            expected = reference(text, pair, truncation=True, max_length=limit)["input_ids"]
            assert codec.encode_truncated(text, pair).ids.tolist() == expected


def test_windows_agree_with_the_reference(unpack: Callable[..., Path]) -> None:
    _, name, files, settings = KINDS["uncased"]
    folder = unpack(**files)
    reference = reference_tokenizer(name, folder, **settings)
    question, context = "who runs?", "the red dog runs past the green house . " * 12
    for limit, stride in ((16, 3), (30, 10), (400, 10)):
        expected = reference(
            question,
            context,
            truncation="only_second",
            max_length=limit,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        windows = codec_of(folder, "bert", limit).windows(question, context, stride)
        assert [window.ids.tolist() for window in windows] == expected["input_ids"]
        assert [list(window.details().offsets) for window in windows] == expected["offset_mapping"]
    with pytest.raises(InvalidItems, match="stride is 11; beside this question it must be below"):
        codec_of(folder, "bert", 16).windows(question, context, 11)
    with pytest.raises(InvalidItems, match="the question has"):
        codec_of(folder, "bert", 16).windows(question * 9, context, 1)


def test_windows_share_what_a_long_question_leaves() -> None:
    codec = codec_on(wordpiece(), 40)
    for n_question, stride in ((1, 10), (20, 8), (36, 0)):  # a quarter of 40, half of 17, half of 1
        default, chosen = (codec.windows("a " * n_question, "b " * 50, given) for given in (None, stride))
        assert [window.ids.tolist() for window in default] == [window.ids.tolist() for window in chosen]


def test_a_refused_pair_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codec_on(wordpiece())

    def encode(text: str, pair: str | None = None, **options: bool) -> Tokens:
        if pair is not None:
            raise InvalidItems(Problem("this model takes no pairs"))
        return Tokens.of_ids([1])

    monkeypatch.setattr(codec, "encode", encode)
    with pytest.raises(InvalidItems) as refused:
        codec.tokenize([TextItem("a"), TextItem("a", "b")])
    assert refused.value.problems == (Problem("this model takes no pairs", 1),)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_longer_text_is_truncated_first(n_first: int, n_second: int, room: int) -> None:
    first, second = divide_room(n_first, n_second, room)
    assert first <= n_first
    assert second <= n_second
    assert first + second == min(room, n_first + n_second)
    if first < n_first and second < n_second:
        assert abs(first - second) <= 1


@pytest.fixture(scope="module")
def byte_codec() -> TextCodec:
    return codec_of(SHIPPED / "gpt/gpt-mini-en", "gpt", 256)


@pytest.fixture(scope="module")
def word_codec(tmp_path_factory: pytest.TempPathFactory) -> TextCodec:
    folder = tmp_path_factory.mktemp("words")
    write_tokenizer(folder, "bert", 60)
    return codec_of(folder, "bert", 64)


@pytest.fixture(scope="module", params=["albert/albert-mini-en", "bert/bert-mini-en", "gpt/gpt-mini-en"])
def shipped_codec(request: pytest.FixtureRequest) -> TextCodec:
    return codec_of(SHIPPED / request.param, request.param.partition("/")[0])


@given(texts=st.lists(st.one_of(st.text(max_size=30), st.sampled_from([*HOSTILE.values()])), min_size=2, max_size=5))
@settings(max_examples=30)
@pytest.mark.parametrize("special", [True, False])
def test_texts_encoded_together_equal_those_alone(shipped_codec: TextCodec, special: bool, texts: list[str]) -> None:
    items = [TextItem(clean_text(text, LIMITS)[:500]) for text in texts]
    together = shipped_codec.tokenize(items, add_special_tokens=special, check_length=False)
    for item, found in zip(items, together, strict=True):
        (alone,) = shipped_codec.tokenize([item], add_special_tokens=special, check_length=False)
        assert found.ids.tolist() == alone.ids.tolist()
        assert found.type_ids.tolist() == alone.type_ids.tolist()
        assert found.sources == alone.sources
        assert dataclasses.astuple(found.details()) == dataclasses.astuple(alone.details())


def test_texts_encoded_together_have_the_types_of_the_tokenizer() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[CLS]": 0, "[SEP]": 1, "a": 2, "b": 3}))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:2 $A:1 [SEP]:0", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    codec = TokenizersCodec(tokenizer, SpecialTokens(), max_tokens=8)
    assert [tokens.type_ids.tolist() for tokens in codec.encode_all(["a", "a b"])] == [[2, 1, 0], [2, 1, 1, 0]]


def test_a_tokenizer_without_the_sample_letter_and_an_unknown_token_encodes_what_it_knows() -> None:
    tokenizer = Tokenizer(models.WordLevel({"G": 0, "T": 1}))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    codec = TokenizersCodec(tokenizer, SpecialTokens(), max_tokens=8)
    assert [tokens.ids.tolist() for tokens in codec.encode_all(["G", "T G"])] == [[0], [1, 0]]


@given(text=st.text(max_size=60), data=st.data())
def test_a_text_assembled_token_by_token_is_the_whole_text(
    byte_codec: TextCodec, text: str, data: st.DataObject
) -> None:
    ids = byte_codec.encode(text, add_special_tokens=False).ids.tolist()
    ids = data.draw(st.sampled_from([ids, ids[: len(ids) // 2], ids[1:]]))  # may begin or end within a character
    assert assembled(byte_codec, ids) == byte_codec.decode(ids)


@given(text=st.text(alphabet="ab é🙂", max_size=40), stop=st.text(alphabet="ab é🙂", min_size=1, max_size=4))
def test_a_stop_string_ends_a_text_wherever_it_begins(byte_codec: TextCodec, text: str, stop: str) -> None:
    assembly = TextAssembly(byte_codec, [stop])
    ids = byte_codec.encode(text, add_special_tokens=False).ids.tolist()
    got = ""
    for token in ids:
        got += assembly.feed(token)
        assert stop not in got
        if assembly.stopped:
            break
    got += assembly.finish()
    assert assembly.stopped == (stop in text)
    assert got == (text[: text.index(stop)] if stop in text else text)


def test_words_are_assembled_with_their_spaces(word_codec: TextCodec) -> None:
    ids = word_codec.encode("the dog runs . a cat", add_special_tokens=False).ids.tolist()
    assert assembled(word_codec, ids) == word_codec.decode(ids)


@given(st.lists(st.integers(0, 25), max_size=8))
def test_words_and_special_tokens_in_any_order_are_assembled(word_codec: TextCodec, ids: list[int]) -> None:
    assert assembled(word_codec, ids) == word_codec.decode(ids)


@given(st.lists(st.integers(0, 5), max_size=8))
def test_pieces_with_spaces_in_any_order_are_assembled(ids: list[int]) -> None:
    tokenizer = Tokenizer(models.WordLevel({"▁": 0, "▁a": 1, "b": 2, "▁▁": 3, ".": 4, "</s>": 5}))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.decoder = decoders.Metaspace()
    codec = TokenizersCodec(tokenizer, SpecialTokens(all=frozenset({5})), max_tokens=8)
    assert assembled(codec, ids) == codec.decode(ids)


def assembled(codec: TextCodec, ids: list[int]) -> str:
    assembly = TextAssembly(codec)
    return "".join([assembly.feed(token) for token in ids]) + assembly.finish()


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ([], "0 items"),
        (["a"] * 11, "11 items"),
        ([7.5], "must be a string"),
        ([None], "must be a string"),
        ([{"text": "a", "pair": "b"}], "must be a string"),
        ([{"text": 3}], "text is 3; it must be a string"),
        ([{"text": "a", "text_pair": None}], "text_pair is null; it must be a string"),
        (["a" * (2**18 + 1)], "the limit is 262144"),
        ([[5, 60]], "the token id 60 is unknown; this model's are 0 to 59"),
        ([[-1]], "the token id -1"),
        ([[True]], "must be a string"),
    ],
)
def test_items_that_are_no_texts_are_named(word_codec: TextCodec, values: object, detail: str) -> None:
    with pytest.raises(InvalidItems, match="(?s)" + detail.replace("(", r"\(")):
        word_codec.parse(values, LIMITS)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"mine has no tokenizer: tokenizer.json, or vocab.txt, is missing"):
        codec_of(tmp_path, "bert")
    (tmp_path / "tokenizer.json").write_text('{"version": 1}')
    with pytest.raises(CheckpointError, match="mine: the tokenizer is not readable"):
        codec_of(tmp_path, "bert")
