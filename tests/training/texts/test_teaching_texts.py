"""Tests of the texts that a sentence encoder learns from."""

from types import SimpleNamespace

import pytest

from tests.training.texts.tiny import NOWHERE
from training.data.labelled_text import LabelledText
from training.data.multi30k import TranslationPair
from training.data.questions import Question
from training.data.stsb import ScoredPair, StsB
from training.texts import teaching_texts as module

HELD_OUT = "A man rides a horse through the wide river."
SENTENCE = "The town has about nine thousand inhabitants today."


@pytest.fixture(autouse=True)
def data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small data sets in place of the real ones."""
    pairs = StsB(
        train=[ScoredPair("A dog runs.", "A puppy runs.", 4.0), ScoredPair("One.", HELD_OUT, 1.0)],
        dev=[ScoredPair("Held out.", "Also held out.", 2.0)],
        test=[ScoredPair(HELD_OUT.upper(), "Tested on.", 3.0)],
    )
    question = Question("Who came?", "Anna came.", ("Anna",), 0)
    contents = {
        "stsb": pairs,
        "multi30k": SimpleNamespace(train=[TranslationPair("held  out.", "draussen"), TranslationPair("Snow.", "x")]),
        "wikipedia": SimpleNamespace(train=[f"Springfield\n{SENTENCE} {HELD_OUT}\nShort."]),
        "childrens_stories": SimpleNamespace(train=["Title\nThe fox looked at the grapes for a very long time."]),
        "tiny_stories": ["once there was a cat. it slept.\n\nthe end"],
        "qamr": [question, question],
        "fairytale_qa": SimpleNamespace(train=[Question("Why?", "So.", ("So",), None)]),
        "agnews": SimpleNamespace(train=[LabelledText("Stocks fell. The rest of it.", 2), LabelledText("x" * 161, 1)]),
        "sst2": SimpleNamespace(train=[LabelledText("a fine film", 1), LabelledText("dull", 0)]),
    }
    for name, content in contents.items():
        monkeypatch.setattr(module, name, lambda data, content=content: content)


def test_texts_of_every_kind_are_there_once() -> None:
    assert sorted(module.teaching_texts(NOWHERE)) == sorted(
        [
            "A dog runs.",
            "A puppy runs.",
            "One.",
            "Snow.",
            "Springfield",
            SENTENCE,
            "The fox looked at the grapes for a very long time.",
            "once there was a cat",
            "it slept.",
            "the end",
            "Who came?",
            "Why?",
            "Stocks fell",
            "a fine film",
        ]
    )


def test_sentences_of_the_splits_that_measure_are_in_no_text_and_no_pair() -> None:
    texts = {text.lower() for text in module.teaching_texts(NOWHERE)}
    assert not texts & {HELD_OUT.lower(), "held  out.", "held out.", "also held out.", "tested on."}
    assert module.scored_pairs(NOWHERE) == [ScoredPair("A dog runs.", "A puppy runs.", 4.0)]
