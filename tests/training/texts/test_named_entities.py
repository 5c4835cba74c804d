"""Tests of word classification: first tokens, labels from capitals, masked words."""

from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.text.embedding import hidden_states
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from tests.training.texts.tiny import (
    ANIMALS,
    N_TOKENS,
    SENTENCES,
    bert,
    losses,
    resources,
    size_of,
    tagged,
    tuning,
    vocabulary,
)
from training.data.named_entities import TAGS, TaggedSentence
from training.texts.finetuning import (
    CapitalPrediction,
    TokenClassification,
    capital_labels,
    first_tokens,
    tags_of_first_tokens,
)

WORDS = ("The", "dog", "wanderer", "forests", "redder", "“schöner”", "9", "don't", ".", "漢")
N_STEPS = 40


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "byte-level"])
@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), data=st.data())
@settings(max_examples=30)
def test_each_words_tag_is_that_of_its_first_token(
    kind: str, words: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tags = data.draw(st.lists(st.sampled_from(TAGS), min_size=len(words), max_size=len(words)))
    text = vocabulary(kind).codec(resources(tmp_path_factory.getbasetemp()), 200).encode(" ".join(words))
    found = tags_of_first_tokens(text, TaggedSentence(tuple(words), tuple(tags)))
    assert found.dtype == torch.int64
    assert len(found) == len(text)
    assert [TAGS[tag] for tag in found.tolist() if tag >= 0] == tags
    starts = [0, *accumulate(len(word) + 1 for word in words)][:-1]
    judged = [place for place, tag in enumerate(found.tolist()) if tag >= 0]
    assert all(
        text.details().offsets[place][0] in {start, start - 1} for place, start in zip(judged, starts, strict=True)
    )  # with the blank before it, or without
    assert found[0] == found[-1] == -1


def test_truncated_words_have_no_tag(tmp_path: Path) -> None:
    codec, row = vocabulary().codec(resources(tmp_path), 6), tagged(SENTENCES[0])
    text = codec.encode_truncated(" ".join(row.words))
    assert tags_of_first_tokens(text, row).tolist() == [-1, 0, 0, TAGS.index("B-PER"), 0, -1]


def test_capitals_label_only_informative_words() -> None:
    words, marks = capital_labels("Yesterday Ann Lee of Oslo, 9, left the house of “Eve and Bo”; Ed stayed in Rome")
    known = {word: mark for word, mark in zip(words, marks, strict=True) if mark >= 0}
    assert " ".join(words) == "Yesterday Ann Lee of Oslo , 9 , left the house of “ Eve and Bo ” ; Ed stayed in Rome"
    assert known == {
        "Ann": 1,
        "Lee": 1,
        "Oslo": 1,
        "the": 0,
        "house": 0,
        "of": 0,
        "Bo": 1,
        "stayed": 0,
        "in": 0,
        "Rome": 1,
    }
    assert capital_labels("") == ([], [])


def test_capitals_teach_that_there_is_a_name_but_not_its_kind(tmp_path: Path) -> None:
    test_resources = resources(tmp_path)
    texts = [text.replace(f" {animal} ", f" {animal.title()} ") for text, animal in with_animals()]
    stage = CapitalPrediction(**tuning(rows_of=lambda data: texts))
    model = bert(size_of(test_resources), heads=("tokens",), labels=TAGS)
    items = stage.items(test_resources)
    losses(stage, model, items, N_STEPS)
    assert model.token_head is not None
    for text, animal in with_animals()[:4]:
        row = tagged(text)
        tokens = vocabulary().codec(test_resources, N_TOKENS).encode(" ".join(row.words))
        with torch.inference_mode():
            none = model.token_head(hidden_states(model, [tokens])[0]).softmax(-1)[:, 0]
        places = first_tokens(tokens, row.words)
        assert none[places[row.words.index(animal)]] < 0.2
        assert none[places[row.words.index("to")]] > 0.8


def with_animals() -> list[tuple[str, str]]:
    return [(text, next(one for one in ANIMALS if one in text)) for text in SENTENCES]


def test_only_words_of_the_text_are_masked(tmp_path: Path) -> None:
    test_resources = resources(tmp_path)
    codec = vocabulary().codec(test_resources, N_TOKENS)
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def __init__(self, model: TextEncoder) -> None:
            super().__init__()
            self.model, self.token_head = model, model.token_head

        def hidden(self, row: RaggedBatch, attend: Any) -> Tensor:
            seen.append(row.token_ids)
            return self.model.hidden(row, attend)

    def rows(data: object) -> list[TaggedSentence]:
        return [tagged(text) for text in SENTENCES]

    model = bert(size_of(test_resources), heads=("tokens",), labels=TAGS)
    for share in (0.0, 0.25):
        stage = TokenClassification(**tuning(rows_of=rows), masked_share=share)
        items = stage.items(test_resources)
        stage.loss(cast("TextEncoder", Spy(model)), items, torch.Generator().manual_seed(0), nn.Module())
    plain, hidden = seen
    is_hidden = hidden.ne(plain)
    assert set(hidden[is_hidden].tolist()) == {codec.special.mask}
    assert (plain[is_hidden] >= 5).all()
    assert 0.2 < is_hidden[plain >= 5].double().mean() < 0.3
