"""The rules that change scores beside the logits processors of `transformers`."""

from typing import Any

import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import SuppressTokensLogitsProcessor

from models.generation.generation_rules import GenerationRules, rules_for
from models.generation.logits_rules import (
    BadWords,
    BanRule,
    ForcedTokens,
    FrequencyPenalty,
    LogitsRule,
    MinLength,
    NoRepeatNgrams,
    PresencePenalty,
    RepetitionPenalty,
    SuppressedTokens,
    TextSoFar,
    apply_rules,
)
from models.generation.search import SingleSearch
from models.generation.token_scores import TokenScores
from models.tasks.generation import GenerateRequest
from tests.models.transformers.reference import random_text

N_WORDS = 20
TOKENS = st.lists(st.integers(0, N_WORDS - 1), max_size=30)
SEEDS = st.integers(0, 10**6)


def random_scores(seed: int, n: int = N_WORDS) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed)) * 3


def text_so_far(given_tokens: list[int], generated: list[int]) -> TextSoFar:
    return TextSoFar([*given_tokens, *generated], len(given_tokens))


def assert_follows(rule: LogitsRule, processor: Any, text: TextSoFar, scores: Tensor) -> None:
    """Compare a rule with a logits processor of `transformers`; the given scores stay as they are."""
    before = scores.clone()
    found = rule.apply(scores, text)
    input_ids = torch.tensor([text.tokens], dtype=torch.int64)
    torch.testing.assert_close(found, processor(input_ids, scores.clone()[None])[0], rtol=0.0, atol=0.0)
    assert torch.equal(scores, before)


@given(tokens=TOKENS, penalty=st.floats(0.01, 100), seed=SEEDS)
def test_the_repetition_penalty_is_that_of_the_reference(tokens: list[int], penalty: float, seed: int) -> None:
    processor = transformers.RepetitionPenaltyLogitsProcessor(penalty)
    assert_follows(RepetitionPenalty(penalty), processor, text_so_far(tokens, []), random_scores(seed))


@given(size=st.integers(1, 5), tokens=st.lists(st.integers(0, 3), max_size=30), seed=SEEDS)
def test_repeated_ngrams_are_forbidden_as_by_the_reference(size: int, tokens: list[int], seed: int) -> None:
    processor = transformers.NoRepeatNGramLogitsProcessor(size)
    assert_follows(NoRepeatNgrams(size), processor, text_so_far(tokens, []), random_scores(seed))


@given(
    words=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=8),
    tokens=st.lists(st.integers(0, 3), max_size=30),
    seed=SEEDS,
)
def test_bad_words_are_forbidden_as_by_the_reference(words: list[list[int]], tokens: list[int], seed: int) -> None:
    processor = transformers.NoBadWordsLogitsProcessor(words)
    rule = BadWords(tuple(tuple(word) for word in words))
    assert_follows(rule, processor, text_so_far(tokens, []), random_scores(seed))


@given(least=st.integers(1, 20), prompt=TOKENS, generated=TOKENS, ends=st.sets(st.integers(0, 19), min_size=1))
def test_a_text_ends_as_early_as_by_the_reference(
    least: int, prompt: list[int], generated: list[int], ends: set[int]
) -> None:
    processor = transformers.MinNewTokensLengthLogitsProcessor(len(prompt), least, [*ends])
    assert_follows(MinLength(least, (*ends,)), processor, text_so_far(prompt, generated), random_scores(1))


@given(tokens=TOKENS, suppressed=st.sets(st.integers(0, N_WORDS - 1), min_size=1))
def test_tokens_are_suppressed_as_by_the_reference(tokens: list[int], suppressed: set[int]) -> None:
    processor = SuppressTokensLogitsProcessor([*suppressed])
    assert_follows(SuppressedTokens((*suppressed,)), processor, text_so_far(tokens, []), random_scores(2))


@given(prompt=TOKENS, generated=TOKENS, n_new=st.integers(1, 30))
def test_the_end_is_forced_as_by_the_reference(prompt: list[int], generated: list[int], n_new: int) -> None:
    processor = transformers.ForcedEOSTokenLogitsProcessor(len(prompt) + n_new, 7)
    assert_follows(ForcedTokens((7,), n_new - 1), processor, text_so_far(prompt, generated), random_scores(3))


@given(prompt=TOKENS, generated=TOKENS, presence=st.floats(-2, 2), frequency=st.floats(-2, 2), seed=SEEDS)
def test_presence_and_frequency_penalties_follow_their_formula(
    prompt: list[int], generated: list[int], presence: float, frequency: float, seed: int
) -> None:
    """OpenAI: `mu[j] -> mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence`."""
    scores, text = random_scores(seed), text_so_far(prompt, generated)
    found = apply_rules([PresencePenalty(presence), FrequencyPenalty(frequency)], scores, text)
    counts = torch.bincount(torch.tensor(generated, dtype=torch.int64), minlength=N_WORDS)
    torch.testing.assert_close(found, scores - counts * frequency - (counts > 0).float() * presence)


def test_a_neutral_request_has_no_rules() -> None:
    request = GenerateRequest(tokens=random_text(2, N_WORDS, 0), max_new_tokens=2)
    assert rules_for(request, GenerationRules(end_ids=(1,))) == []


def test_the_rules_of_a_request_and_of_a_model_are_applied_in_order() -> None:
    request = GenerateRequest(
        tokens=random_text(2, N_WORDS, 0),
        max_new_tokens=9,
        min_new_tokens=3,
        repetition_penalty=1.5,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        no_repeat_ngram_size=2,
        bad_words=((4,), (5, 6), (1,)),
    )
    demands = GenerationRules(end_ids=(1,), suppressed_ids=(2,), bad_words=((3, 4),), forced_end_ids=(1,))
    assert rules_for(request, demands) == [
        RepetitionPenalty(1.5),
        PresencePenalty(0.5),
        FrequencyPenalty(-0.5),
        NoRepeatNgrams(2),
        BadWords(((3, 4), (4,), (5, 6))),  # without the token that ends a text
        MinLength(3, (1,)),
        SuppressedTokens((2,)),
        ForcedTokens((1,), 8),
    ]


@given(seed=SEEDS, prompt=TOKENS, size=st.integers(0, 3), words=st.lists(st.tuples(st.integers(0, 19)), max_size=4))
def test_greedy_search_takes_the_likeliest_token_that_is_not_forbidden(
    seed: int, prompt: list[int], size: int, words: list[tuple[int]]
) -> None:
    """Whether the likeliest token is taken at once, or all scores are looked at."""
    request = GenerateRequest(
        tokens=random_text(2, N_WORDS, 0), max_new_tokens=5, no_repeat_ngram_size=size, bad_words=(*words,)
    )
    scores = TokenScores(random_scores(seed)[None])
    search = SingleSearch(request, GenerationRules(suppressed_ids=(0,)), prompt, 0)
    assert search.takes_likeliest
    text = text_so_far(prompt, [])
    banned = {0}.union(*(rule.banned(text) for rule in search.logits_rules if isinstance(rule, BanRule)))
    free = [token for token in range(N_WORDS) if token not in banned]
    (continuation,) = search.advance(scores, [0])
    if free:
        assert continuation.token == max(free, key=scores.logits[0].__getitem__)
