"""Sentences as tokens and back, and descriptions of their codec that are refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import CONFIG_FILE, Checkpoint, load_model, read_checkpoint
from models.codecs import SentenceCodec
from models.codecs.arrays import Limits
from models.codecs.sentence import TOKENIZER_FILE
from models.errors import CheckpointError, InvalidItems
from tests.app.sentences import MAX_TOKENS, SENTENCES, write_sentences

LIMITS = Limits(max_items=4, max_pixels=0, max_characters=100)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return write_sentences(tmp_path)


@pytest.fixture
def codec(checkpoint: Checkpoint) -> SentenceCodec:
    assert isinstance(checkpoint.codec, SentenceCodec)
    return checkpoint.codec


@pytest.mark.parametrize("text", [SENTENCES[0], "street the in", "Zürich, 漢字!", "a  b", "<mask> runs <mask>"])
def test_a_text_comes_back(codec: SentenceCodec, text: str) -> None:
    (item,) = codec.decode([text], LIMITS)
    assert (item.dtype, item.ndim) == (torch.int64, 1)
    assert len(item) == codec.count_tokens(text)
    assert codec.encode(item.numpy()) == text
    assert len(codec.token_texts(item.numpy())) == len(item)


def test_a_word_has_the_same_tokens_at_the_beginning_and_within(codec: SentenceCodec) -> None:
    first, second = codec.decode(["park coat", "coat park"], LIMITS)
    assert sorted(first.tolist()) == sorted(second.tolist())


def test_null_is_an_unknown_word_where_gaps_are_allowed(codec: SentenceCodec) -> None:
    listed, masked = codec.decode([["A", None, "runs."], "A <mask> runs."], LIMITS, gaps=True)
    assert torch.equal(listed, masked)
    with pytest.raises(InvalidItems, match="must be a string"):
        codec.decode([["A", None, "runs."]], LIMITS)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([""], "the text has 0 tokens; this model takes 1 to 23"),
        (["x y " * 20], f"takes 1 to {MAX_TOKENS - 1}"),
        (["a </s>"], "holds the special token '</s>'"),
        ([[1]], "holds the special token '<pad>'"),
        ([{"text": "a", "text_pair": "b"}], "a pair of texts"),
        (["a"] * 5, "takes 1 to 4"),
        (["a" * 101], "the limit is 100"),
    ],
)
def test_other_items_are_refused(codec: SentenceCodec, values: Any, problem: str) -> None:
    with pytest.raises(InvalidItems) as caught:
        codec.decode(values, LIMITS)
    assert problem in caught.value.problems[0].detail


def test_many_problems_are_cut_short(codec: SentenceCodec) -> None:
    with pytest.raises(InvalidItems) as caught:
        codec.decode([""] * 40, Limits(max_items=50, max_pixels=0))
    assert len(caught.value.problems) == 17


def test_a_checkpoint_with_another_tokenizer_is_refused(checkpoint: Checkpoint) -> None:
    load_model(checkpoint)
    file = checkpoint.folder / TOKENIZER_FILE
    file.write_text(file.read_text() + " ")
    with pytest.raises(CheckpointError, match=rf"{TOKENIZER_FILE} has the SHA-256 .*; config.json says"):
        read_checkpoint(checkpoint.folder)
    file.unlink()
    with pytest.raises(CheckpointError, match=TOKENIZER_FILE):
        read_checkpoint(checkpoint.folder)


def test_models_with_another_tokenizer_read_no_streams_of_each_other(checkpoint: Checkpoint) -> None:
    file = checkpoint.folder / TOKENIZER_FILE
    config = json.loads((checkpoint.folder / CONFIG_FILE).read_text())
    before = load_model(checkpoint)
    file.write_text(file.read_text() + " ")
    config["codec"]["tokenizer_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (checkpoint.folder / CONFIG_FILE).write_text(json.dumps(config))
    after = load_model(read_checkpoint(checkpoint.folder))
    assert isinstance(before, Autoencoder)
    assert isinstance(after, Autoencoder)
    assert before.digest != after.digest


@pytest.mark.parametrize("text", ["a(<mask>)", "un<mask>", "<mask><mask>"])
def test_a_mask_inside_a_word_is_refused(codec: SentenceCodec, text: str) -> None:
    with pytest.raises(InvalidItems, match="<mask> stands for a whole word, with a space before it"):
        codec.decode([text], LIMITS)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("shape", [4, 4], "a list of one number"),
        ("shape", [1], "of at least 2"),
        ("mask_token", None, "codec.mask_token is None; it must be a string"),
        ("mask_token", "[MASK]", "has no such token"),
        ("tokenizer_sha256", 3, "must be a string"),
        ("shape", [25], "the model takes"),
    ],
)
def test_another_description_is_refused(checkpoint: Checkpoint, key: str, value: Any, problem: str) -> None:
    file = checkpoint.folder / CONFIG_FILE
    content = json.loads(file.read_text())
    content["codec"][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=problem):
        load_model(read_checkpoint(checkpoint.folder))
