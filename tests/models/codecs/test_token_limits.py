"""Tokens for which a model has no embeddings: fine as long as no text has them, and refused by name where one does."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE

from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.errors import CheckpointError, InvalidItems
from tests.models.test_published_heads import CONFIGS
from tests.models.transformers.reference import publish

LIMITS = Limits(max_items=10, max_pixels=1, max_characters=2**18)


def with_token(folder: Path, token: AddedToken, architecture: str = "GPT2LMHeadModel", role: str = "") -> Path:
    """Publish a model of 60 tokens, and add a token to its tokenizer, which gets the id 60."""
    publish(folder, architecture, CONFIGS["GPT2" if "GPT2" in architecture else "Bert"]())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({role: token.content} if role else {}))
    return folder


def codec_of(folder: Path) -> TextCodec:
    checkpoint = read_checkpoint(folder)
    assert isinstance(checkpoint, PublishedCheckpoint)
    load_model(checkpoint)
    return checkpoint.codec


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "GPT2Model", "BertModel", "BertForMaskedLM"])
def test_a_padding_token_beyond_the_embeddings_is_fine_until_a_text_has_it(architecture: str, tmp_path: Path) -> None:
    padding = AddedToken("[FILL]", special=True, normalized=False)
    codec = codec_of(with_token(tmp_path, padding, architecture, "pad_token"))
    assert codec.special.padding == 60
    codec.tokenize(codec.parse(["the dog", {"text": "a", "text_pair": "cat"}, [5, 59]], LIMITS))
    message = r"the token '\[FILL\]' has the id 60; the model has embeddings of the ids 0 to 59"
    refused: tuple[Any, ...] = ("the [FILL] dog", [5, 60], {"text": "the", "text_pair": "[FILL]"})
    for item in refused:
        with pytest.raises(InvalidItems, match=message) as error:
            codec.tokenize(codec.parse(["the dog", item], LIMITS), truncate=True)
        assert [problem.index for problem in error.value.problems] == [1]
    with pytest.raises(InvalidItems, match=message):
        codec.windows("the dog", "a [FILL] cat", 1)
    with pytest.raises(InvalidItems, match=message):
        codec.encode_target("a [FILL] cat")
    assert (codec.id_of("[FILL]"), codec.id_of("dog")) == (None, codec.encode("dog", add_special_tokens=False).ids[0])
    tokens, other = codec.tokenize(codec.parse(["[FILL]", [60]], LIMITS), check_length=False, check_ids=False)
    assert 60 in tokens.ids
    assert 60 in other.ids


def test_an_unknown_token_that_byte_pairs_never_yield_may_lie_beyond_the_embeddings(tmp_path: Path) -> None:
    publish(tmp_path, "GPT2LMHeadModel", CONFIGS["GPT2"]())
    alphabet = {token: i for i, token in enumerate(["<|endoftext|>", *"abcdefgh"])}
    tokenizer = Tokenizer(BPE(alphabet, []))
    tokenizer.add_special_tokens([AddedToken(f"<{i}>") for i in range(60 - len(alphabet))] + [AddedToken("<unk>")])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"unk_token": "<unk>"}))
    codec = codec_of(tmp_path)
    assert (codec.special.unknown, codec.encode("bad cab").ids.max() < 60) == (60, True)


def test_a_word_beyond_the_embeddings_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the tokenizer has ids up to 60, the model embeddings up to 59"):
        codec_of(with_token(tmp_path, AddedToken("covid", special=False)))


def test_a_start_token_beyond_the_embeddings_is_refused_at_load(tmp_path: Path) -> None:
    folder = with_token(tmp_path, AddedToken("[START]", special=True), "BertModel")
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["post_processor"]["special_tokens"]["[CLS]"] |= {"ids": [60], "tokens": ["[START]"]}
    file.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="the tokenizer has ids up to 60, the model embeddings up to 59"):
        codec_of(folder)


def test_a_mask_beyond_the_embeddings_is_no_mask(tmp_path: Path) -> None:
    folder = with_token(tmp_path, AddedToken("[HIDE]", special=True), "BertForMaskedLM", "mask_token")
    with pytest.raises(CheckpointError, match="the tokenizer has no mask token"):
        codec_of(folder)
