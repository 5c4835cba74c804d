"""Tests of answer spans: windows, sentence labels and the auxiliary losses."""

from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import nn

from models.tasks.text import Tokens
from tests.training.texts.tiny import (
    ANIMALS,
    PLACES,
    SENTENCES,
    bert,
    losses,
    mean,
    resources,
    size_of,
    tuning,
    vocabulary,
)
from training.data.questions import Question
from training.texts.spans import HINTS, SpanExtraction, answer_sentence_labels, find_answer_window, shared_token_labels

CONTEXT = " ".join(SENTENCES[::5])


def answer_text(window: Tokens, ends: tuple[int, int]) -> str:
    first, last = (window.details().offsets[position] for position in ends)
    assert {window.details().texts[position] for position in ends} == {1}
    return window.sources[1][first[0] : last[1]]


def question_about(start: int, end: int, context: str = CONTEXT, question: str = "the dog?") -> Question:
    return Question(question, context, (context[start:end],), start)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
@pytest.mark.parametrize("n_words", [1, 2, 3])
def test_answers_are_found_to_the_character(kind: str, n_words: int, tmp_path: Path) -> None:
    context = f"Höher, “{CONTEXT}”"  # the normalised text is shorter, since it has no accents
    words = context.split(" ")
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    codec = vocabulary(kind).codec(resources(tmp_path), 60 if kind == "unigram" else 30)
    firsts: set[int] = set()
    for position in range(len(words) - n_words + 1):
        row = question_about(starts[position], starts[position + n_words] - 1, context)
        found = find_answer_window(codec, row)
        assert found is not None
        window, ends = found
        assert len(window) <= codec.max_tokens
        assert answer_text(window, ends).strip() == row.answers[0]
        firsts.add(window.details().offsets[window.details().texts.index(1)][0])
    assert len(firsts) > 3  # several windows


def test_a_question_that_fills_the_window_is_left_out(tmp_path: Path) -> None:
    codec = vocabulary().codec(resources(tmp_path), 30)
    assert find_answer_window(codec, question_about(0, 3, question="the dog? " * 20)) is None


def test_an_answer_within_a_token_becomes_the_whole_token(tmp_path: Path) -> None:
    start = CONTEXT.index("walked")
    found = find_answer_window(vocabulary().codec(resources(tmp_path), 30), question_about(start + 1, start + 3))
    assert found is not None
    assert answer_text(*found) == "walked"


def test_an_answer_that_fits_no_window_or_is_no_span_is_left_out(tmp_path: Path) -> None:
    codec = vocabulary().codec(resources(tmp_path), 30)
    whole = question_about(0, len(CONTEXT))
    nowhere = Question("the dog?", CONTEXT, ("a cow",), None)
    assert find_answer_window(codec, whole) is None
    assert find_answer_window(codec, nowhere) is None
    good = question_about(4, 7)
    stage = SpanExtraction(**tuning(rows_of=lambda data: [whole, good, nowhere, good], max_tokens=30))
    *texts, ends, sentences = stage.items(resources(tmp_path))
    assert {len(tensor) for tensor in (*texts, ends, sentences)} == {2}
    window, positions = find_answer_window(codec, good) or (None, None)
    assert window is not None
    assert tuple(ends[0].tolist()) == positions
    assert texts[0][0, : len(window)].tolist() == window.ids.tolist()


def test_shared_tokens_are_those_of_both_texts_of_a_pair() -> None:
    ids = torch.tensor([[2, 7, 8, 3, 8, 9, 7, 3], [2, 9, 3, 7, 9, 3, -1, -1], [2, 3, 7, 7, 7, 3, -1, -1]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]])
    assert shared_token_labels(ids, types, n_special=5).tolist() == [
        [-1, -1, -1, -1, 1, 0, 1, -1],
        [-1, -1, -1, 0, 1, -1, -1, -1],
        [-1, -1, 0, 0, 0, -1, -1, -1],
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_sentence_of_an_answer_has_all_of_its_tokens_and_no_other(number: int, tmp_path: Path) -> None:
    context = f"{SENTENCES[0]} {SENTENCES[5]}  {SENTENCES[10].rstrip('.')}"
    sentences = [SENTENCES[0], SENTENCES[5], SENTENCES[10].rstrip(".")]
    start = context.index(sentences[number])
    for part in (sentences[number], sentences[number].split()[-1].rstrip("."), sentences[number].split()[0]):
        at = context.index(part, start)
        row = question_about(at, at + len(part), context)
        window, _ = find_answer_window(vocabulary().codec(resources(tmp_path), 60), row) or (None, None)
        assert window is not None
        labels = answer_sentence_labels(window, row)
        inside = [window.details().offsets[position] for position in (labels == 1).nonzero().flatten().tolist()]
        assert context[inside[0][0] : inside[-1][1]] == sentences[number]
        assert {window.details().texts[position] for position in (labels >= 0).nonzero().flatten().tolist()} == {1}
        assert window.details().texts.count(1) == int((labels >= 0).sum())


def test_an_answer_over_two_sentences_is_in_both(tmp_path: Path) -> None:
    context = " ".join(SENTENCES[:3])
    at, end = context.index(SENTENCES[0]) + 4, context.index(SENTENCES[1]) + 3
    row = question_about(at, end, context)
    window, _ = find_answer_window(vocabulary().codec(resources(tmp_path), 60), row) or (None, None)
    assert window is not None
    inside = [
        window.details().offsets[position]
        for position in (answer_sentence_labels(window, row) == 1).nonzero().flatten().tolist()
    ]
    assert context[inside[0][0] : inside[-1][1]] == f"{SENTENCES[0]} {SENTENCES[1]}"


def test_auxiliary_heads_are_learned_and_removed(tmp_path: Path) -> None:
    rows = [
        Question(f"{animal} {position}", " ".join(some), (some[1][:3],), len(some[0]) + 1)
        for animal in ANIMALS
        for position in PLACES
        for some in zip(SENTENCES[:8], SENTENCES[8:16], SENTENCES[16:24], strict=True)
    ]
    model = bert(size_of(resources(tmp_path)), heads=("span",))
    names = set(model.state_dict())

    def loss(hint_weight: float) -> list[float]:
        stage = SpanExtraction(**tuning(batch_size=16, dropout=0.0), rows_of=lambda data: rows, hint_weight=hint_weight)
        return losses(stage, model, stage.items(resources(tmp_path)), 60)

    found = loss(3.0)
    assert set(model.state_dict()) == names
    assert found[0] > loss(0.0)[0] + 2.0  # three times some log 2, twice
    assert mean(found[-5:]) < 0.6 * found[0]


@pytest.mark.parametrize("hint", ["shared", "sentence"])
def test_each_hint_counts(hint: str, tmp_path: Path) -> None:
    rows = [question_about(text.rindex(" ") + 1, len(text) - 1, f"{text} {text}", "the dog?") for text in SENTENCES]
    stage = SpanExtraction(**tuning(dropout=0.0), rows_of=lambda data: rows, hint_weight=1.0)
    model = bert(size_of(resources(tmp_path)), heads=("span",))
    items = stage.items(resources(tmp_path))
    stage.begin(model, items)
    head = model.get_submodule(f"{HINTS}.{hint}")
    before = stage.loss(model, items, torch.Generator(), nn.Module())
    nn.init.constant_(head.bias, 9.0)  # type: ignore[arg-type]
    assert stage.loss(model, items, torch.Generator(), nn.Module()) > before + 0.5
