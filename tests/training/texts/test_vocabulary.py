"""Tests of tokenizers: trained once, read as the server reads them, and written so that `transformers` agrees."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import transformers
from tokenizers import Tokenizer

from tests.training.texts.tiny import KINDS, SENTENCES, resources, vocabulary
from training.data.files import DataFolder
from training.errors import DataError
from training.texts.vocabulary import SETTINGS_FILE, TOKENIZER_FILE, Texts, byte_level, unigram, wordpiece

BYTE_LEVEL = [kind for kind in KINDS if kind.startswith("byte-level")]
LOWER = ["wordpiece", "unigram"]
OTHERS = [
    "The red dog walked to the river.",
    "",
    " Blanks,  two of them, and at the ends ",
    "Two\nlines, a\ttab, don't; 3.14!",
    "schöne Tage in Ḿünchen, naïve Ærø, ẞ",
    "漢字 — 😀 unseen\u200dcharacters\u2028here",
]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first_in_their_order(kind: str, tmp_path: Path) -> None:
    tokenizer, roles = vocabulary(kind).tokenizer(resources(tmp_path)), KINDS[kind].roles
    special = list(dict.fromkeys(roles.values()))
    assert [tokenizer.id_to_token(number) for number in range(len(special))] == special
    assert [vocabulary(kind).id_of(tokenizer, role) for role in roles] == [special.index(roles[role]) for role in roles]
    codec = vocabulary(kind).codec(resources(tmp_path), 30)
    assert codec.special.all == frozenset(range(len(special)))
    assert codec.special.mask == (special.index(roles["mask_token"]) if "mask_token" in roles else None)
    assert codec.special.padding == (special.index(roles["pad_token"]) if "pad_token" in roles else None)
    assert sorted(tokenizer.get_vocab().values()) == list(range(codec.vocab_size))


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_around_texts_and_pairs(kind: str, tmp_path: Path) -> None:
    codec = vocabulary(kind).codec(resources(tmp_path), 30)
    start, between, end = {
        **dict.fromkeys(LOWER, ("[CLS]", "[SEP]", "[SEP]")),
        "byte-level": ("<s>", "</s></s>", "</s>"),
        "byte-level with an end": ("", "", ""),
        "byte-level for translations": ("", "", "</s>"),
    }[kind]
    single, pair = (codec.encode(*texts).ids.tolist() for texts in (("the dog",), ("the dog", " the cat")))
    for ids, text in ((single, f"{start}the dog{end}"), (pair, f"{start}the dog{between} the cat{end}")):
        spoken = codec.decode(ids, skip_special_tokens=False)
        assert spoken.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", [*OTHERS, *SENTENCES[:3]])
@pytest.mark.parametrize("kind", BYTE_LEVEL)
def test_byte_level_tokens_decode_to_the_same_text(kind: str, text: str, tmp_path: Path) -> None:
    codec = vocabulary(kind).codec(resources(tmp_path), 300)
    assert codec.decode(codec.encode(text).ids.tolist()) == text


@pytest.mark.parametrize("kind", LOWER)
def test_other_tokenizers_ignore_capitals_and_accents(kind: str, tmp_path: Path) -> None:
    codec = vocabulary(kind).codec(resources(tmp_path), 300)
    loud, plain = (codec.encode(text).ids.tolist() for text in ("THE Réd DÖG, walked", "the red dog, walked"))
    assert loud == plain
    assert codec.decode(plain) == "the red dog, walked"


@pytest.mark.parametrize("kind", LOWER)
def test_punctuation_marks_are_separate_tokens(kind: str, tmp_path: Path) -> None:
    tokenizer = vocabulary(kind).tokenizer(resources(tmp_path))
    tokens = tokenizer.encode(
        "Does it see a day? The red dog, it's so: yes! It walked.", add_special_tokens=False
    ).tokens
    assert [token for token in tokens if any(mark in token for mark in "?,':!.")] == ["?", ",", "'", ":", "!", "."]


@pytest.mark.parametrize("kind", LOWER)
def test_unseen_characters_are_unknown(kind: str, tmp_path: Path) -> None:
    tokenizer = vocabulary(kind).tokenizer(resources(tmp_path))
    unknown = vocabulary(kind).id_of(tokenizer, "unk_token")
    assert unknown in tokenizer.encode("the 漢 dog").ids
    assert unknown not in tokenizer.encode("the red dog").ids


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_is_trained_once_and_then_read(kind: str, tmp_path: Path) -> None:
    n_trained = 0

    def train(data: DataFolder) -> Tokenizer:
        nonlocal n_trained
        n_trained += 1
        return KINDS[kind].train(data)

    ours = replace(vocabulary(kind), train=train)
    first = ours.tokenizer(resources(tmp_path))
    assert n_trained == 1
    assert (tmp_path / kind / TOKENIZER_FILE).exists()
    assert ours.tokenizer(resources(tmp_path)).to_str() == first.to_str()
    ours.codec(resources(tmp_path), 10)
    assert n_trained == 1
    (tmp_path / kind / TOKENIZER_FILE).unlink()
    ours.tokenizer(resources(tmp_path))
    assert n_trained == 2


def test_a_missing_special_token_is_named(tmp_path: Path) -> None:
    ours = replace(vocabulary(), roles={"mask_token": "<nothing>"})
    with pytest.raises(DataError, match="the vocabulary of wordpiece lacks <nothing>"):
        ours.id_of(ours.tokenizer(resources(tmp_path)), "mask_token")


@pytest.mark.parametrize("train", [wordpiece, unigram])
def test_the_size_is_a_limit(train: object, tmp_path: Path) -> None:
    def words(data: DataFolder) -> list[str]:
        return [f"{number:b} {number:o} {text}" for number, text in enumerate(SENTENCES * 3)]

    def trained(make: Texts) -> Tokenizer:
        return cast("Tokenizer", train(make, 60)(resources(tmp_path).data))  # type: ignore[operator]

    assert 50 <= trained(words).get_vocab_size() <= 60


def test_the_size_of_bytes_is_exact(tmp_path: Path) -> None:
    train = byte_level(lambda data: SENTENCES, 300, KINDS["byte-level"].roles)
    assert train(resources(tmp_path).data).get_vocab_size() == 300


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_reads_the_files_and_every_text_alike(kind: str, tmp_path: Path) -> None:
    ours, roles, folder = vocabulary(kind), KINDS[kind].roles, tmp_path / "checkpoint"
    folder.mkdir()
    ours.write(folder, resources(tmp_path), 30)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    codec = ours.codec(resources(tmp_path), 30)
    mask = roles.get("mask_token", "dog")
    masks = [
        f"The {mask} dog.",
        f"the{mask}dog",
        f"The dog {mask}.",
        f"{mask} {mask} walked",
        f" {mask} ",
        *roles.values(),
    ]
    for text in (*OTHERS, *SENTENCES, *masks):
        ids = codec.encode(text).ids.tolist()
        assert theirs(text)["input_ids"] == ids, text
        assert (
            theirs(text, add_special_tokens=False)["input_ids"]
            == codec.encode(text, add_special_tokens=False).ids.tolist()
        )
    for first, second in (("The dog.", "A cat"), (f"It {mask}", " is so "), ("", "yes")):
        assert theirs(first, second)["input_ids"] == codec.encode(first, second).ids.tolist()
    assert theirs.model_max_length == 30
    assert {role: getattr(theirs, role) for role in roles} == dict(roles)
    assert len(theirs) == codec.vocab_size


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "mask_token" in KINDS[kind].roles])
def test_a_mask_replaces_one_word_and_the_space_before_it(kind: str, tmp_path: Path) -> None:
    codec, mask = vocabulary(kind).codec(resources(tmp_path), 30), KINDS[kind].roles["mask_token"]
    masked, plain = (codec.encode(f"The small {word} walked to").ids.tolist() for word in (mask, "dog"))
    place = masked.index(codec.special.mask)
    n_dog = len(plain) - len(masked) + 1
    assert masked.count(codec.special.mask or 0) == 1
    assert [*masked[:place], *masked[place + 1 :]] == [*plain[:place], *plain[place + n_dog :]]


def test_the_settings_name_the_special_tokens(tmp_path: Path) -> None:
    vocabulary("byte-level").write(tmp_path, resources(tmp_path), 77)
    settings = json.loads((tmp_path / SETTINGS_FILE).read_text())
    assert settings["model_max_length"] == 77
    assert settings.items() >= KINDS["byte-level"].roles.items()


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_cut_or_windowed_keep_their_offsets(kind: str, tmp_path: Path) -> None:
    codec = vocabulary(kind).codec(resources(tmp_path), 40)
    text, pair = "The red dog", "A small bird walked."
    assert codec.encode_truncated(text).details().offsets == codec.encode(text).details().offsets
    (window,) = codec.windows(text, pair, 1)
    assert window.details().offsets == codec.encode(text, pair).details().offsets
