"""Questions made of sentences: each has its answer where it says, and asks for it without naming it."""

import re

import pytest

from training.texts.clozes import MAX_ANSWER_WORDS, MAX_WORDS, clozes

SENTENCES = (
    "The painter Anna Maria Schmidt lived in Berlin from 1901 until the end of the war.",
    "She sold 27 pictures to the museum of Hamburg, which shows an early drawing today.",
    "Her brother, who taught at the University of Oxford, wrote the only book about her.",
    "Nothing here is worth any question because nobody did anything anywhere.",
)
ARTICLE = "Anna Schmidt\n" + "\n".join([" ".join(SENTENCES), SENTENCES[1], "A heading", SENTENCES[3]])


def found(n: int) -> list[tuple[str, str, str]]:
    rows = clozes([ARTICLE] * 400, n)
    for row in rows:
        assert row.start is not None
        assert row.context.startswith(row.answers[0], row.start)
    return [(row.question, row.answers[0], row.context) for row in rows]


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, str]]:
    return found(10_000)


def test_names_numbers_and_things_are_asked_for(rows: list[tuple[str, str, str]]) -> None:
    asked = {(question.split()[0], answer) for question, answer, _ in rows}
    assert {("when", "1901"), ("where", "Berlin"), ("how", "27"), ("what", "museum")} <= asked
    assert {word for word, answer in asked if answer == "Anna Maria Schmidt"} == {"who", "what", "which"}
    assert ("where", "University of Oxford") not in asked, "`the` stands between"
    assert {answer for _, answer in asked} >= {"University of Oxford", "Hamburg", "early drawing"}
    assert all(len(answer.split()) <= MAX_ANSWER_WORDS for _, answer in asked)


def test_a_question_is_of_some_words_of_one_sentence_in_their_order(rows: list[tuple[str, str, str]]) -> None:
    for question, answer, context in rows:
        words = re.sub("^(how many|who|what|which|where|when)", "", question.removesuffix("?")).split()
        (its,) = {one for one in SENTENCES if answer in one}
        assert its in context
        rest = iter(re.findall(r"\w+", its.replace(answer, " ", 1)))
        assert all(word in rest for word in words), question  # in order: the iterator goes on
        assert len(words) <= MAX_WORDS


def test_sentences_with_nothing_to_ask_are_left_out_and_n_is_the_most(rows: list[tuple[str, str, str]]) -> None:
    assert all(context != SENTENCES[3] for _, _, context in rows)
    assert found(50) == rows[:50]
    assert clozes(["Title only\nA heading"], 5) == []
