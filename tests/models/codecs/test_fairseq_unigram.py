"""Tokenizers of XLM-RoBERTa and CamemBERT from `sentencepiece.bpe.model`, compared with those of `transformers`."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.catalogue import family
from models.codecs.text import TextCodec, read_text_codec
from models.errors import CheckpointError
from tests.models.codecs.test_sentencepiece import ENGLISH, GERMAN, train
from tests.models.codecs.test_text import HOSTILE, reference_tokenizer

KINDS = {"xlm-roberta": "XLMRobertaTokenizer", "camembert": "CamembertTokenizer"}
TEXTS = {name: text for name, text in HOSTILE.items() if name != "one letter"} | {
    "mask inside": "Two dogs <mask> through the green grass!",
    "mask without spaces": "a<mask>b",
    "specials": "<s> </s> <pad> <unk> <s>NOTUSED </s>NOTUSED <unk>NOTUSED",
    "double spaces": "Two  dogs   run ",
    "unknown": "Ж漢🫠 dogs",
}
PAIRS = [("A red bike.", "Two dogs run"), ("", "x"), ("a <mask>", "é 東京")]


def trained(folder: Path, **options: Any) -> Path:
    texts = [*ENGLISH, *GERMAN, "Crème brûlée, Ñandú."]
    train(folder, "sentencepiece.bpe.model", texts, 120, unk_id=0, bos_id=1, eos_id=2, **options)
    return folder


def codec_of(folder: Path, model_type: str) -> TextCodec:
    return read_text_codec(folder, "mine", family("transformers/roberta").variants[model_type], max_tokens=512)


@pytest.mark.parametrize("model_type", KINDS)
@pytest.mark.parametrize("form", ["sentencepiece.bpe.model", "tokenizer.json"])
def test_it_agrees_with_the_reference(model_type: str, form: str, tmp_path: Path) -> None:
    reference = reference_tokenizer(KINDS[model_type], trained(tmp_path))
    if form == "tokenizer.json":
        (tmp_path / "json").mkdir()
        reference.save_pretrained(tmp_path / "json")
    codec = codec_of(tmp_path / "json" if form == "tokenizer.json" else tmp_path, model_type)
    for name, text in TEXTS.items():
        mine, theirs = codec.encode(text), reference(text, return_offsets_mapping=True)
        assert mine.ids.tolist() == theirs["input_ids"], name
        assert not mine.type_ids.any()
        ids = theirs["input_ids"]
        spans = zip(ids, mine.details().offsets, theirs["offset_mapping"], strict=True)
        for token_id, mine_span, their_span in spans:  # our mask has the space before it, as published files have it
            assert token_id == codec.special.mask or tuple(mine_span) == tuple(their_span), name
        assert codec.decode(ids) == reference.decode(ids, skip_special_tokens=True), name
    for pair in PAIRS:
        assert codec.encode(*pair).ids.tolist() == reference(*pair)["input_ids"]
    assert codec.vocab_size == len(reference)
    special = codec.special
    assert (special.mask, special.padding) == (reference.mask_token_id, reference.pad_token_id)
    assert (special.start, special.end, special.unknown) == (reference.cls_token_id, reference.sep_token_id, 3)


@pytest.mark.parametrize("model_type", KINDS)
def test_symbols_of_a_user_are_whole_tokens(model_type: str, tmp_path: Path) -> None:
    reference = reference_tokenizer(KINDS[model_type], trained(tmp_path, user_defined_symbols=["[ENT]"]))
    codec = codec_of(tmp_path, model_type)
    for text in ("dogs [ENT] run", "x[ENT]y"):
        assert codec.encode(text).ids.tolist() == reference(text)["input_ids"]


def test_settings_count(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_prefix_space": False}))
    reference = reference_tokenizer("XLMRobertaTokenizer", folder)
    assert codec_of(folder, "xlm-roberta").encode("Two dogs").ids.tolist() == reference("Two dogs")["input_ids"]


def test_a_model_of_byte_pairs_is_refused(tmp_path: Path) -> None:
    folder = trained(tmp_path, model_type="bpe")
    with pytest.raises(CheckpointError, match=r"mine: sentencepiece.bpe.model has the model_type 2; only 1, unigram"):
        codec_of(folder, "camembert")


def test_the_files_are_named_where_they_are_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer.json, or sentencepiece.bpe.model, is missing"):
        codec_of(tmp_path, "xlm-roberta")
