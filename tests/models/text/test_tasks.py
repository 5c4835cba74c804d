"""An encoder answers the tasks of the heads that it has."""

import pytest

from models.tasks import (
    ANSWER,
    ATTEND,
    CLASSIFY_TEXT,
    CLASSIFY_TOKENS,
    ENCODE_TEXT,
    FILL_MASK,
    PROJECT_TEXTS,
    RERANK,
    RERANK_PAIRS,
    SCORE_TEXT,
    SIMILARITY,
    Task,
)
from tests.models.text.encoders import encoder

ALWAYS = {ENCODE_TEXT, SIMILARITY, PROJECT_TEXTS, ATTEND}


@pytest.mark.parametrize(
    ("heads", "tasks"),
    [
        ((), set()),
        (("pooler",), set()),
        (("pooler", "pair", "masked"), {FILL_MASK, SCORE_TEXT}),
        (("pooler", "sequence"), {CLASSIFY_TEXT}),
        (("tokens",), {CLASSIFY_TOKENS}),
        (("span",), {ANSWER}),
    ],
)
def test_tasks_follow_from_the_heads(heads: tuple[str, ...], tasks: set[Task]) -> None:
    labels = ("a", "b") if {"sequence", "tokens"} & set(heads) else ()
    assert set(encoder(*heads, labels=labels).task_functions) == ALWAYS | {RERANK} | tasks


def test_a_classifier_with_one_class_ranks_pairs() -> None:
    model = encoder("pooler", "sequence", labels=("fits",))
    assert set(model.task_functions) == ALWAYS | {CLASSIFY_TEXT, RERANK_PAIRS}
    assert set(encoder("tokens", labels=("only",)).task_functions) == ALWAYS | {CLASSIFY_TOKENS, RERANK}
