"""Tests of rows made from texts: nothing is lost but what the documentation says."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.transformers.reference import random_text
from tests.training.texts.tiny import SENTENCES, resources, vocabulary
from training.errors import DataError
from training.texts.corpus import (
    BATCH_SIZE,
    PADDING,
    Rows,
    TokenIds,
    document_pieces,
    encode_all,
    pad_rows,
    ragged_batch,
    sentence_rows,
    split_sentences,
    token_stream,
    tokenise_documents,
)
from training.texts.english import as_wikitext

LENGTHS = st.lists(st.integers(0, 23), max_size=7)


def document(length: int, first: int = 0) -> TokenIds:
    return np.arange(first, first + length, dtype=np.int32)


@given(lengths=LENGTHS, length=st.integers(1, 9))
@settings(max_examples=100)
def test_pieces_cover_each_document_that_is_long_enough(lengths: list[int], length: int) -> None:
    rows = [document(n, 100 * number) for number, n in enumerate([*lengths, length])]
    cut = document_pieces(rows, length)
    assert cut.dtype == torch.int32
    assert cut.shape[1] == length
    found = cut.tolist()
    assert all(row == list(range(row[0], row[0] + length)) for row in found)  # never of two documents
    for row in rows:
        own = [piece for piece in found if piece[0] // 100 == row[:1] // 100] if len(row) else []
        if len(row) < length:
            assert not own
        else:
            assert sorted({token for piece in own for token in piece}) == row.tolist()
            assert len(own) == -(-len(row) // length)  # as few as possible


def test_the_last_piece_overlaps_the_one_before() -> None:
    assert document_pieces([document(7)], 3).tolist() == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    assert document_pieces([document(6), document(2, 50)], 3).tolist() == [[0, 1, 2], [3, 4, 5]]


@given(lengths=LENGTHS.filter(bool), length=st.integers(1, 9))
@settings(max_examples=100)
def test_a_token_stream_has_all_documents_each_with_an_end(lengths: list[int], length: int) -> None:
    rows = [document(n, 100 * number) for number, n in enumerate(lengths)]
    whole = [token for row in rows for token in (*row.tolist(), 999)]
    flat = token_stream(rows, 999, length)
    assert flat.dtype == torch.int32
    assert flat.shape == (len(whole) // length, length)
    assert flat.flatten().tolist() == whole[: len(whole) // length * length]


TEXTS = st.lists(st.lists(st.sampled_from(SENTENCES), max_size=5).map(" ".join), max_size=3).map("\n".join)


@given(texts=st.lists(TEXTS, max_size=3), length=st.integers(16, 40))
@settings(max_examples=50)
def test_rows_of_whole_sentences_are_all_of_a_text_but_single_ones(texts: list[str], length: int) -> None:
    with TemporaryDirectory() as folder:
        tokenizer = vocabulary().tokenizer(resources(Path(folder)))
    two = " ".join(SENTENCES[:2])
    rows, begins = sentence_rows(tokenizer, [*texts, two], length)
    assert rows.dtype == torch.int32
    assert begins.dtype == torch.bool
    assert rows.shape == begins.shape == (len(rows), length)
    per_row = length // 8  # a sentence has eight tokens
    expected: list[list[str]] = []
    for text in [*texts, two]:
        sentences = [part for paragraph in text.splitlines() if paragraph for part in split_sentences(paragraph)]
        expected += [sentences[start : start + per_row] for start in range(0, len(sentences), per_row)]
    expected = [group for group in expected if len(group) > 1]
    assert [tokenizer.decode(row[row != PADDING].tolist()) for row in rows] == [
        tokenizer.decode(tokenizer.encode(" ".join(group), add_special_tokens=False).ids) for group in expected
    ]
    assert [row_begins.nonzero().flatten().tolist() for row_begins in begins] == [
        list(range(0, 8 * len(group), 8)) for group in expected
    ]


def test_a_sentence_without_room_for_another_is_left_out(tmp_path: Path) -> None:
    tokenizer = vocabulary().tokenizer(resources(tmp_path))
    with pytest.raises(DataError, match="two sentences of together 15 tokens"):
        sentence_rows(tokenizer, [" ".join(SENTENCES), SENTENCES[0], ""], 15)


def test_sentences_end_where_a_capital_follows() -> None:
    assert split_sentences("He paid 3.5 of it, e.g. in May. Why? No! yes.") == [
        "He paid 3.5 of it, e.g. in May.",
        "Why?",
        "No! yes.",
    ]


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=50)
def test_rows_give_their_texts_back(lengths: list[int]) -> None:
    texts = [random_text(length, 60, seed, n_types=2) for seed, length in enumerate(lengths)]
    rows = Rows.of(texts)
    assert rows.lengths.tolist() == lengths
    assert {tensor.dtype for tensor in rows.batch} == {torch.int32}
    row = ragged_batch(rows.batch)
    for text, ids, types in zip(texts, row.by_text(row.token_ids), row.by_text(row.type_ids), strict=True):
        assert torch.equal(ids, torch.from_numpy(text.ids))
        assert torch.equal(types, torch.from_numpy(text.type_ids))


def test_rows_are_padded_with_minus_1_or_the_given_value() -> None:
    rows = [torch.tensor([7, 8, 9]), torch.tensor([], dtype=torch.int64), torch.tensor([5])]
    assert pad_rows(rows).tolist() == [[7, 8, 9], [-1, -1, -1], [5, -1, -1]]
    assert pad_rows(rows, 0).tolist() == [[7, 8, 9], [0, 0, 0], [5, 0, 0]]
    assert pad_rows(rows).dtype == torch.int32


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level", "unigram"])
def test_documents_are_their_tokens_without_special_ones(kind: str, tmp_path: Path) -> None:
    tokenizer = vocabulary(kind).tokenizer(resources(tmp_path))
    texts = [*(f"{number} {SENTENCES[number % 64]}" for number in range(BATCH_SIZE + 1)), ""]
    rows = tokenise_documents(tokenizer, texts, "made up")
    assert len(rows) == len(texts)
    for place in (0, 1, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1):
        assert rows[place].dtype == np.int32
        assert rows[place].tolist() == tokenizer.encode(texts[place], add_special_tokens=False).ids


def test_texts_and_pairs_are_cut_to_what_the_model_takes(tmp_path: Path) -> None:
    codec = vocabulary().codec(resources(tmp_path), 12)
    inputs: list[Any] = ["the dog", " ".join(SENTENCES), ("the dog", "a cat"), (" ".join(SENTENCES), "the cat")]
    found = encode_all(codec, inputs, "made up")
    assert [codec.decode(text.ids.tolist(), skip_special_tokens=False) for text in found] == [
        "[CLS] the dog [SEP]",
        "[CLS] the red dog walked to the river. the red [SEP]",
        "[CLS] the dog [SEP] a cat [SEP]",
        "[CLS] the red dog walked to the river [SEP] the cat [SEP]",
    ]
    assert found[2].type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert [len(text) for text in found] == [4, 12, 7, 12]


def test_articles_are_rewritten_in_the_style_of_wikitext() -> None:
    articles = [
        "Ann Lee\nAnn Lee's well-known book, of 1,250.5 pages (in 2 parts), sold.\nEarly life.\n"
        "She lived - for a long time - in Rome.",
        "Rome\nIn Rome they sold the book of Ann Lee in 2 parts.",
    ]
    first, second = as_wikitext(articles, 1000)
    assert first == (
        " \n = Ann Lee = \n \n"
        " Ann Lee 's well @-@ known book , of 1 @,@ 250 @.@ 5 pages ( in 2 parts ) , sold . \n"
        " \n = = Early life = = \n \n"
        " She lived - for a long time - in Rome . \n"
    )
    assert second.count("<unk>") == 0
    rare, _ = as_wikitext(articles, 9)
    assert rare.startswith(" \n = Ann Lee = \n \n Ann Lee <unk> <unk> <unk> <unk> book , of")
