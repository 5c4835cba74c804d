"""Conversion of the classes of tokens to entities, and of the logits of spans to answers."""

import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.codecs.text.answers import answers
from models.codecs.text.entities import Aggregation, entities
from models.tasks.text import Details, Tokens

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXT = "Anna Schmidt met Bob in New York"
PIECES = ("[CLS]", "Anna", "Sch", "midt", "met", "Bob", "in", "New", "York", "[SEP]")
OFFSETS = ((0, 0), (0, 4), (5, 8), (8, 12), (13, 16), (17, 20), (21, 23), (24, 27), (28, 32), (0, 0))
WORDS = (None, 0, 1, 1, 2, 3, 4, 5, 6, None)


def tokens() -> Tokens:
    n = len(PIECES)
    details = Details(offsets=OFFSETS, texts=[None if word is None else 0 for word in WORDS], words=WORDS)
    return Tokens(ids=np.arange(n), type_ids=np.zeros(n, np.int64), details=lambda: details, sources=(TEXT,))


def scores(*labels: str) -> torch.Tensor:
    """The label of each token between the special ones at 0.9, or at what follows its name."""
    rows = torch.full((len(PIECES), len(LABELS)), 0.02)
    for place, label in enumerate(labels, start=1):
        name, _, value = label.partition("=")
        rows[place, LABELS.index(name)] = float(value or 0.9)
    return rows


def found(aggregation: Aggregation, *labels: str) -> list[tuple[str, str, float]]:
    got = entities(tokens(), scores(*labels), LABELS, aggregation)
    assert all(entity.word == TEXT[entity.start : entity.end] for entity in got)
    return [(entity.kind, entity.word, round(entity.score, 4)) for entity in got]


def test_neighbours_of_one_kind_are_one_entity() -> None:
    labels = ("B-PER", "I-PER=0.6", "I-PER=0.6", "O", "B-PER", "O", "B-LOC", "I-LOC=0.5")
    assert found("simple", *labels) == [("PER", "Anna Schmidt", 0.7), ("PER", "Bob", 0.9), ("LOC", "New York", 0.7)]


def test_a_beginning_parts_two_of_one_kind() -> None:
    labels = ("B-PER", "B-PER", "I-PER", "O", "O", "O", "B-LOC", "B-LOC")
    words = [word for _, word, _ in found("simple", *labels)]
    assert words == ["Anna", "Schmidt", "New", "York"]


def test_each_token_has_its_own_label_without_aggregation() -> None:
    assert found("none", "B-PER", "I-PER", "O", "O", "O", "O", "I-LOC", "O") == [
        ("B-PER", "Anna", 0.9),
        ("I-PER", "Sch", 0.9),
        ("I-LOC", "New", 0.9),
    ]


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("first", "Schmidt"), ("average", "Schmidt"), ("max", None), ("simple", "Sch")]
)
def test_words_are_named_as_a_whole(aggregation: Aggregation, expected: str | None) -> None:
    labels = ("O", "B-PER=0.6", "O=0.61" if aggregation == "max" else "O=0.3", "O", "O", "O", "O", "O")
    words = [word for kind, word, _ in found(aggregation, *labels) if kind == "PER"]
    assert words == ([expected] if expected else [])


@given(st.lists(st.sampled_from(LABELS), min_size=8, max_size=8), st.sampled_from(get_args(Aggregation)))
def test_entities_follow_one_another(labels: list[str], aggregation: Aggregation) -> None:
    got = entities(tokens(), scores(*labels), LABELS, aggregation)
    assert all(entity.end <= following.start for entity, following in pairwise(got))
    assert {entity.kind for entity in got} <= {"PER", "LOC", *LABELS} - {"O"}


CONTEXT = "abcdefghij"
N_QUESTION = 3


def window(first: int, n: int) -> Tokens:
    """[CLS], a question of one token, [SEP], and letters of the context from `first` on."""
    n_tokens = N_QUESTION + n
    details = Details(
        offsets=[(0, 0), (0, 1), (0, 0), *((first + i, first + i + 1) for i in range(n))],
        texts=[None, 0, None, *[1] * n],
        words=[None] * n_tokens,
    )
    return Tokens(
        ids=np.arange(n_tokens),
        type_ids=np.zeros(n_tokens, np.int64),
        details=lambda: details,
        sources=("?", CONTEXT),
    )


@given(seed=st.integers(0, 1000), longest=st.integers(1, 6), top_k=st.integers(1, 5), may_lack=st.booleans())
def test_answers_are_the_likeliest_spans_of_all_windows(seed: int, longest: int, top_k: int, may_lack: bool) -> None:
    windows = [window(0, 6), window(4, 6)]
    draw = torch.Generator().manual_seed(seed)
    spans = [torch.randn(N_QUESTION + 6, 2, generator=draw) * 2 for _ in windows]
    expected: dict[tuple[int, int], float] = {}
    total = 0.0
    for pair, span in zip(windows, spans, strict=True):
        offsets = pair.details().offsets
        for i in range(N_QUESTION, N_QUESTION + 6):
            for j in range(i, min(i + longest, N_QUESTION + 6)):
                weight = math.exp(float(span[i, 0] + span[j, 1]))
                place = (offsets[i][0], offsets[j][1])
                expected[place] = max(expected.get(place, 0.0), weight)
                total += weight
    if may_lack:
        null = math.exp(min(float(span[0].sum()) for span in spans))
        expected[0, 0] = null
        total += null
    best = sorted(expected.items(), key=lambda pair: -pair[1])[:top_k]
    got = answers(windows, spans, top_k=top_k, max_answer_tokens=longest, allow_no_answer=may_lack)
    assert [(answer.start, answer.end) for answer in got] == [place for place, _ in best]
    assert [answer.score for answer in got] == pytest.approx([weight / total for _, weight in best], rel=1e-4)
    assert all(answer.answer == CONTEXT[answer.start : answer.end] for answer in got)
