"""Answers and their scores are those of the pipeline `question-answering` of `transformers` 4.57."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.codecs.text import TokenizersCodec
from models.codecs.text.answers import Answer, answers
from models.tasks.text import Tokens
from tests.models.codecs.letter_tokenizers import byte_level, codec_on, metaspace, wordpiece

TOKENIZERS = {"wordpiece": wordpiece, "byte-level": byte_level, "metaspace": metaspace}
CONTEXT = "Bob is at home. At home now, Bob sees Jo."


def windows(kind: str, context: str, room: int = 512, stride: int = 4) -> list[Tokens]:
    """Return the windows of a context whose question has one token."""
    n_around = len(_codec(kind, 512).encode("a", ""))
    return _codec(kind, n_around + room).windows("a", context, stride)


@cache
def _codec(kind: str, max_tokens: int) -> TokenizersCodec:
    return codec_on(TOKENIZERS[kind](), max_tokens)


def random_spans(pairs: Sequence[Tokens], seed: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(len(pair), 2, generator=draw) for pair in pairs]


def by_the_pipeline(
    pairs: Sequence[Tokens], spans: Sequence[torch.Tensor], *, top_k: int, longest: int, may_lack: bool
) -> list[tuple[str, float]]:
    """Return the answers and scores by the pipeline's `select_starts_ends`, `decode_spans` and `postprocess`."""
    null, scores = 1_000_000.0, dict[str, tuple[str, float]]()
    for pair, span in zip(pairs, spans, strict=True):
        details, context = pair.details(), pair.sources[1]
        is_context = np.array([text == 1 for text in details.texts])
        is_context[0] = True  # the start token
        starts, ends = (np.where(is_context, span[:, side].double().numpy(), -10000.0) for side in (0, 1))
        starts, ends = (np.exp(logits - logits.max()) for logits in (starts, ends))
        starts, ends = starts / starts.sum(), ends / ends.sum()
        null = min(null, starts[0] * ends[0])
        starts[0] = ends[0] = 0.0
        table = np.tril(np.triu(np.outer(starts, ends)), longest - 1)
        for index in np.argsort(-table.ravel())[: 2 * top_k + 10]:
            first, last = divmod(int(index), len(table))
            if not table[first, last]:
                continue
            word_places = [match.span() for match in re.finditer(r"[^\W_]+|[^\w\s]", context)]
            start = next(word[0] for word in word_places if word[1] > details.offsets[first][0])
            end = next(word[1] for word in word_places if word[1] >= details.offsets[last][1])
            answer, sum_before = scores.get(context[start:end].lower(), (context[start:end], 0.0))
            scores[answer.lower()] = answer, sum_before + table[first, last]
    ranked = [*scores.values(), *[("", null)] * may_lack]
    return sorted(ranked, key=lambda pair: -pair[1])[:top_k]


@settings(max_examples=20)
@given(
    kind=st.sampled_from(list(TOKENIZERS)),
    seed=st.integers(0, 1000),
    room=st.sampled_from([9, 20, 100]),
    longest=st.integers(1, 8),
    top_k=st.integers(1, 5),
    may_lack=st.booleans(),
)
def test_answers_are_those_of_the_pipeline(
    kind: str, seed: int, room: int, longest: int, top_k: int, may_lack: bool
) -> None:
    pairs = windows(kind, CONTEXT, room)
    spans = random_spans(pairs, seed)
    expected = by_the_pipeline(pairs, spans, top_k=top_k, longest=longest, may_lack=may_lack)
    got = answers(pairs, spans, top_k=top_k, max_answer_tokens=longest, allow_no_answer=may_lack)
    assert [answer.answer.lower() for answer in got] == [text.lower() for text, _ in expected]
    assert [answer.score for answer in got] == pytest.approx([min(score, 1.0) for _, score in expected], abs=1e-6)
    assert all(answer.answer == CONTEXT[answer.start : answer.end] for answer in got)


def peaked(pairs: Sequence[Tokens], part: str, logit: float, null: float = 0.0) -> list[torch.Tensor]:
    """Return logits of 0 but for the first and the last token of a part of the context, and for the start token."""
    spans = []
    for pair in pairs:
        offsets, texts = pair.details().offsets, pair.details().texts
        span = torch.zeros(len(pair), 2)
        span[0] = null
        start = pair.sources[1].index(part)
        for place, text in enumerate(texts):
            span[place, 0] += logit * (text == 1 and offsets[place][0] == start)
            span[place, 1] += logit * (text == 1 and offsets[place][1] == start + len(part))
        spans.append(span)
    return spans


def best(pairs: Sequence[Tokens], spans: Sequence[torch.Tensor], **options: Any) -> Answer:
    (found,) = answers(pairs, spans, top_k=1, **{"max_answer_tokens": 9, "allow_no_answer": False, **options})
    return found


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_answers_are_whole_words(kind: str) -> None:
    pairs = windows(kind, "We saw Angela Merkel, here.")
    found = best(pairs, peaked(pairs, "ngela Mer", 12.0), max_answer_tokens=15)
    assert (found.answer, found.start, found.end) == ("Angela Merkel", 7, 20)


def test_a_word_that_a_window_cuts_is_whole() -> None:
    pairs = windows("wordpiece", "We saw Merkel", room=8, stride=0)
    assert len(pairs) == 2  # the second begins within the word
    assert best(pairs, peaked(pairs, "rkel", 12.0)).answer == "Merkel"


def test_no_answer_competes_if_it_is_allowed() -> None:
    pairs = windows("wordpiece", CONTEXT)
    spans = peaked(pairs, "home", 6.0, null=9.0)
    without, allowed = (best(pairs, spans, allow_no_answer=may_lack) for may_lack in (False, True))
    in_context = [0, *(place for place, text in enumerate(pairs[0].details().texts) if text == 1)]
    expected = float(spans[0][in_context].double().softmax(0)[0].prod())
    assert (allowed.answer, allowed.start, allowed.end) == ("", 0, 0)
    assert allowed.score == pytest.approx(expected)
    assert without.answer == "home"
    assert without.score < 0.01  # even so, no answer has its share of the probability


def test_answers_of_overlapping_windows_add_up() -> None:
    context = "a b c d e f g h i j"
    pairs = windows("wordpiece", context, room=7, stride=4)
    holding = [pair for pair in pairs if context.index("e") in [offset[0] for offset in pair.details().offsets[3:]]]
    assert len(holding) == 2
    spans = peaked(pairs, "e", 0.5)
    alone = [best([pair], peaked([pair], "e", 0.5), max_answer_tokens=1).score for pair in holding]
    together = answers(pairs, spans, top_k=1, max_answer_tokens=1, allow_no_answer=False)
    assert together[0].answer == "e"
    assert together[0].score == pytest.approx(sum(alone))
    assert best(pairs, peaked(pairs, "e", 30.0)).score == 1.0


def test_a_context_without_tokens_has_no_answer() -> None:
    pairs = windows("wordpiece", "  ")
    assert best(pairs, random_spans(pairs, 1)) == Answer("", 1.0, 0, 0)


@settings(max_examples=10)
@given(seed=st.integers(0, 100))
def test_scores_of_one_window_are_parts_of_one(seed: int) -> None:
    pairs = windows("wordpiece", CONTEXT)
    got = answers(pairs, random_spans(pairs, seed), top_k=50, max_answer_tokens=15, allow_no_answer=True)
    assert sum(answer.score for answer in got) <= 1 + 1e-9
    assert [answer.score for answer in got] == sorted((answer.score for answer in got), reverse=True)
