"""Tests of the scores against examples by hand and against their definitions."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.texts.scores import (
    best_overlap_sentence,
    bleu,
    compressed_bits_per_byte,
    entity_f1,
    exact_match,
    spearman,
    token_f1,
)

TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=12)
PAIRS = st.lists(TAGS.flatmap(lambda row: st.tuples(st.just(row), st.permutations(row))), min_size=1, max_size=4)


def entities(rows: list[list[str]]) -> set[tuple[int, int, int, str]]:
    """Return every span that begins an entity, continues with `I-` tags of its kind, and cannot be longer."""
    return {
        (number, start, end, kind)
        for number, row in enumerate(rows)
        for start, end in combinations(range(len(row) + 1), 2)
        for kind in ("PER", "LOC")
        if row[start] in (f"B-{kind}", f"I-{kind}")
        and (row[start] == f"B-{kind}" or start == 0 or row[start - 1] not in (f"B-{kind}", f"I-{kind}"))
        and all(tag == f"I-{kind}" for tag in row[start + 1 : end])
        and row[end : end + 1] != [f"I-{kind}"]
    }


@given(PAIRS)
def test_entity_f1_is_that_of_the_spans(pairs: list[tuple[list[str], list[str]]]) -> None:
    truth, guess = [true for true, _ in pairs], [guessed for _, guessed in pairs]
    first, second = entities(truth), entities(guess)
    expected = 2 * len(first & second) / (len(first) + len(second)) if first or second else 0.0
    assert entity_f1(truth, guess) == entity_f1(guess, truth) == pytest.approx(expected)
    assert entity_f1(truth, truth) == (1.0 if first else 0.0)


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ("B-PER I-PER O", "I-PER I-PER O", 1.0),
        ("O I-PER I-PER", "O B-PER I-PER", 1.0),
        ("B-PER I-LOC", "B-PER B-LOC", 1.0),
        ("B-PER B-PER", "B-PER I-PER", 0.0),
        ("I-PER B-PER", "B-PER B-PER", 1.0),
        ("B-PER O I-PER", "B-PER O B-PER", 1.0),
        ("B-PER I-PER I-LOC I-PER", "B-PER I-PER O I-PER", 4 / 5),
        ("B-PER I-PER", "B-PER O", 0.0),
        ("B-PER I-PER", "B-LOC I-LOC", 0.0),
        ("B-PER-x I-PER-x", "B-PER-x I-PER-y", 0.0),
        ("O O", "O O", 0.0),
        ("O O", "O B-PER", 0.0),
    ],
)
def test_entity_f1_by_hand(truth: str, guess: str, expected: float) -> None:
    assert entity_f1([truth.split()], [guess.split()]) == pytest.approx(expected)


def test_entities_end_with_their_text_and_all_texts_count_once() -> None:
    assert entity_f1([["B-PER"], ["I-PER"]], [["B-PER"], ["B-PER"]]) == 1.0
    truth = [["B-PER", "B-PER", "B-PER"], ["B-LOC"]]
    assert entity_f1(truth, [["B-PER", "B-PER", "B-PER"], ["O"]]) == pytest.approx(2 * 1 * 0.75 / 1.75)


def test_entity_f1_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(ValueError, match="number"):
        entity_f1([["O", "O"]], [["O"]])
    for tag in ("PER", "E-PER", "B", "B-", ""):
        with pytest.raises(ValueError, match=f"tag '{tag}'"):
            entity_f1([["O"]], [[tag]])


@pytest.mark.parametrize(
    ("guess", "answers", "match", "f1"),
    [
        ("The  Denver Broncos!", ["denver broncos"], 1.0, 1.0),
        ("U.S.", ["the US"], 1.0, 1.0),
        ("a an the", [""], 1.0, 0.0),
        ("theatre", ["atre"], 0.0, 0.0),
        ("in Paris, France", ["Paris"], 0.0, 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("Paris", ["Rome", "the city of Paris", "in Paris"], 0.0, 2 / 3),
        ("to to be", ["to be to to"], 0.0, 2 * 1 * 0.75 / 1.75),
        ("twenty-two", ["twenty two"], 0.0, 0.0),
        ("", ["something"], 0.0, 0.0),
    ],
)
def test_answers_by_hand(guess: str, answers: list[str], match: float, f1: float) -> None:
    assert exact_match(guess, answers) == match
    assert token_f1(guess, answers) == pytest.approx(f1)


@given(st.text("ab .", max_size=12), st.text("ab .", max_size=12))
def test_token_f1_is_symmetric_and_one_for_an_exact_match_with_words(first: str, second: str) -> None:
    assert token_f1(first, [second]) == pytest.approx(token_f1(second, [first]))
    if exact_match(first, [second]) and token_f1(first, [first]):
        assert token_f1(first, [second]) == 1.0


def test_the_best_sentence_shares_the_most_words() -> None:
    context = "The tower stands in Paris. Who built the tower in 3.5 years? Eiffel built it!\nIt is tall."
    assert best_overlap_sentence("In which city stands the tower?", context) == "The tower stands in Paris."
    assert best_overlap_sentence("Who built it?", context) == "Who built the tower in 3.5 years?"
    assert best_overlap_sentence("Is it tall?", context) == "It is tall."
    assert best_overlap_sentence("tower tower tower, or it, built?", context) == "Who built the tower in 3.5 years?"
    assert best_overlap_sentence("The?", context) == "The tower stands in Paris."


@given(st.permutations(range(8)))
def test_spearman_is_its_formula_for_ranks(order: list[int]) -> None:
    expected = 1 - 6 * sum((place - rank) ** 2 for place, rank in enumerate(order)) / (8 * (8**2 - 1))
    assert spearman(torch.arange(8), torch.tensor(order).float().exp()) == pytest.approx(expected)


def test_equal_values_share_their_rank() -> None:
    ranks = torch.tensor([[1.0, 2.5, 2.5, 4.0], [3.0, 1.0, 2.0, 4.0]])
    expected = torch.corrcoef(ranks)[0, 1].item()
    assert spearman(torch.tensor([0.0, 5.0, 5.0, 7.0]), torch.tensor([3.0, 1.0, 2.0, 4.0])) == pytest.approx(expected)


def test_bleu_by_hand() -> None:
    guess, reference = "the cat sat on the mat today", "the cat sat on a mat today"
    precisions = (6 / 7, 4 / 6, 2 / 5, 1 / 4)
    assert bleu([guess], [reference], lowercase=False) == pytest.approx(100 * math.prod(precisions) ** 0.25)
    assert bleu(["a b c d"], ["a b c d e"], lowercase=False) == pytest.approx(100 * math.exp(1 - 5 / 4))


def test_bleu_counts_over_the_corpus() -> None:
    guesses, references = ["a b c d", "e f g h"], ["a b c d", "e f x h"]
    precisions = ((4 + 3) / 8, (3 + 1) / 6, (2 + 0) / 4, (1 + 0) / 2)
    assert bleu(guesses, references, lowercase=False) == pytest.approx(100 * math.prod(precisions) ** 0.25)


def test_bleu_parts_punctuation_and_may_ignore_case() -> None:
    assert bleu(["So it goes, on."], ["So it goes , on ."], lowercase=False) == pytest.approx(100)
    assert bleu(["SO IT GOES, ON."], ["So it goes, on."], lowercase=True) == pytest.approx(100)
    assert bleu(["SO IT GOES, ON."], ["So it goes, on."], lowercase=False) < 50


def test_bleu_refuses_texts_without_a_reference() -> None:
    with pytest.raises(ValueError, match="2 guesses for 1"):
        bleu(["a", "b"], ["a"], lowercase=False)


def test_compression_finds_repeats_and_no_more() -> None:
    noise = np.random.default_rng(0).bytes(2**19)
    alone, twice = compressed_bits_per_byte(noise), compressed_bits_per_byte(noise * 2)
    assert 8 < alone < 8.1
    assert alone / 2 < twice < 4.1
