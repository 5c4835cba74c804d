"""Tests of cloze questions: the answer is where the question says, and the question does not contain it."""

import re

import pytest

from training.texts.clozes import MAX_ANSWER_WORDS, MAX_DISPLACEMENT, MAX_WORDS, QUESTION_WORDS, VERBS, clozes

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


KINDS = {"1901": "year", "27": "number", "Berlin": "place", "Anna Maria Schmidt": "name", "early drawing": "thing"}


def of_answer(rows: list[tuple[str, str, str]], answer: str) -> list[str]:
    """Return all questions with that answer."""
    return [question for question, one, _ in rows if one == answer]


def test_names_numbers_and_things_are_asked_for(rows: list[tuple[str, str, str]]) -> None:
    for answer, kind in KINDS.items():
        questions, ways = of_answer(rows, answer), QUESTION_WORDS[kind]
        assert all(question.startswith(ways) for question in questions)
        for way in ways:
            assert any(question.startswith(way) for question in questions), way
    assert {answer for _, answer, _ in rows} >= {"University of Oxford", "Hamburg", "museum"}
    assert all(len(answer.split()) <= MAX_ANSWER_WORDS for _, answer, _ in rows)
    assert not any(question.startswith("where") for question in of_answer(rows, "University of Oxford")), (
        "`the` between"
    )


def test_a_question_has_some_words_of_one_sentence(rows: list[tuple[str, str, str]]) -> None:
    asking = sorted({way for ways in QUESTION_WORDS.values() for way in ways}, key=len, reverse=True)
    for question, answer, context in rows:
        (sentence,) = {known for known in SENTENCES if answer in known}
        assert sentence in context
        words = re.sub(f"^(?:{'|'.join(asking)})", "", question.removesuffix("?")).split()
        others = re.findall(r"\w+", sentence.replace(answer, " ", 1))
        stems = {word[: len(word) - n] for word in others for n in range(4)}
        assert set(words) <= stems | set(VERBS), question
        assert len(words) <= MAX_WORDS + 1


def test_words_move_a_little_and_those_after_the_answer_come_first_half_of_the_time(
    rows: list[tuple[str, str, str]],
) -> None:
    questions = [question.removesuffix("?").split() for question in of_answer(rows, "27")]
    both = [words for words in questions if {"She", "Hamburg"} <= {*words}]
    n_swapped = sum(words.index("Hamburg") < words.index("She") for words in both)
    assert 0.35 < n_swapped / len(both) < 0.65
    neighbours = [words for words in questions if {"to", "museum"} <= {*words}]
    distances = [words.index("museum") - words.index("to") for words in neighbours]
    assert {distance > 0 for distance in distances} == {True, False}
    assert max(map(abs, distances)) <= 2 + 2 * MAX_DISPLACEMENT


def test_some_words_lose_endings_and_some_questions_get_a_verb(rows: list[tuple[str, str, str]]) -> None:
    questions = [question.removesuffix("?").split() for question in of_answer(rows, "27")]
    cut, whole = (sum(word in words for words in questions) for word in ("picture", "pictures"))
    assert 0.2 < cut / (cut + whole) < 0.4
    with_verb = sum(any(verb in words for verb in ("did", "does", "were", "has")) for words in questions)
    assert 0.1 < with_verb / len(questions) < 0.4  # half of eight verbs, of two fifths


def test_sentences_with_nothing_to_ask_are_left_out_and_n_is_the_most(rows: list[tuple[str, str, str]]) -> None:
    assert all(context != SENTENCES[3] for _, _, context in rows)
    assert found(50) == rows[:50]
    assert clozes(["Title only\nA heading"], 5) == []
