"""The rules of generation beside those of `transformers`, and draws beside the distributions that they follow."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import SuppressTokensLogitsProcessor

from models.generation.sampling import (
    BadWords,
    BanRule,
    CandidateFilter,
    ForcedToken,
    FrequencyPenalty,
    GenerationRules,
    LogitsRule,
    MinLength,
    MinP,
    NoRepeatNgrams,
    PresencePenalty,
    RepetitionPenalty,
    SuppressedTokens,
    Temperature,
    TextSoFar,
    TopK,
    TopP,
    TypicalP,
    apply_rules,
    candidate_filters,
    candidates_of,
    draw,
    logits_rules,
)
from models.generation.search import SingleSearch
from models.generation.token_scores import TokenScores
from models.tasks.text import GenerateRequest
from tests.models.transformers.reference import random_text

N_WORDS, N_DRAWS = 20, 4000
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
@settings(deadline=None)
def test_the_repetition_penalty_is_that_of_the_reference(tokens: list[int], penalty: float, seed: int) -> None:
    processor = transformers.RepetitionPenaltyLogitsProcessor(penalty)
    assert_follows(RepetitionPenalty(penalty), processor, text_so_far(tokens, []), random_scores(seed))


@given(size=st.integers(1, 5), tokens=st.lists(st.integers(0, 3), max_size=30), seed=SEEDS)
@settings(deadline=None)
def test_repeated_ngrams_are_forbidden_as_by_the_reference(size: int, tokens: list[int], seed: int) -> None:
    processor = transformers.NoRepeatNGramLogitsProcessor(size)
    assert_follows(NoRepeatNgrams(size), processor, text_so_far(tokens, []), random_scores(seed))


@given(
    words=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=8),
    tokens=st.lists(st.integers(0, 3), max_size=30),
    seed=SEEDS,
)
@settings(deadline=None)
def test_bad_words_are_forbidden_as_by_the_reference(words: list[list[int]], tokens: list[int], seed: int) -> None:
    processor = transformers.NoBadWordsLogitsProcessor(words)
    rule = BadWords(tuple(tuple(word) for word in words))
    assert_follows(rule, processor, text_so_far(tokens, []), random_scores(seed))


@given(least=st.integers(1, 20), prompt=TOKENS, generated=TOKENS, ends=st.sets(st.integers(0, 19), min_size=1))
@settings(deadline=None)
def test_a_text_ends_as_early_as_by_the_reference(
    least: int, prompt: list[int], generated: list[int], ends: set[int]
) -> None:
    processor = transformers.MinNewTokensLengthLogitsProcessor(len(prompt), least, [*ends])
    assert_follows(MinLength(least, (*ends,)), processor, text_so_far(prompt, generated), random_scores(1))


@given(tokens=TOKENS, suppressed=st.sets(st.integers(0, N_WORDS - 1), min_size=1))
@settings(deadline=None)
def test_tokens_are_suppressed_as_by_the_reference(tokens: list[int], suppressed: set[int]) -> None:
    processor = SuppressTokensLogitsProcessor([*suppressed])
    assert_follows(SuppressedTokens((*suppressed,)), processor, text_so_far(tokens, []), random_scores(2))


@given(prompt=TOKENS, generated=TOKENS, n_new=st.integers(1, 30))
@settings(deadline=None)
def test_the_end_is_forced_as_by_the_reference(prompt: list[int], generated: list[int], n_new: int) -> None:
    processor = transformers.ForcedEOSTokenLogitsProcessor(len(prompt) + n_new, 7)
    assert_follows(ForcedToken(7, n_new - 1), processor, text_so_far(prompt, generated), random_scores(3))


@given(prompt=TOKENS, generated=TOKENS, presence=st.floats(-2, 2), frequency=st.floats(-2, 2), seed=SEEDS)
@settings(deadline=None)
def test_presence_and_frequency_penalties_follow_their_formula(
    prompt: list[int], generated: list[int], presence: float, frequency: float, seed: int
) -> None:
    """OpenAI: `mu[j] -> mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence`."""
    scores, text = random_scores(seed), text_so_far(prompt, generated)
    found = apply_rules([PresencePenalty(presence), FrequencyPenalty(frequency)], scores, text)
    counts = torch.bincount(torch.tensor(generated, dtype=torch.int64), minlength=N_WORDS)
    torch.testing.assert_close(found, scores - counts * frequency - (counts > 0).float() * presence)


FILTERS: dict[str, tuple[Callable[[float], CandidateFilter], Callable[[float], Any]]] = {
    "temperature": (lambda x: Temperature(0.1 + 2 * x), lambda x: transformers.TemperatureLogitsWarper(0.1 + 2 * x)),
    "top_k": (lambda x: TopK(1 + int(30 * x)), lambda x: transformers.TopKLogitsWarper(1 + int(30 * x))),
    "top_p": (TopP, transformers.TopPLogitsWarper),
    "min_p": (MinP, transformers.MinPLogitsWarper),
    "typical_p": (TypicalP, transformers.TypicalLogitsWarper),
}
SHARES = st.floats(0.01, 0.99)


def assert_same_distribution(filters: list[CandidateFilter], processors: list[Any], scores: Tensor) -> None:
    expected = scores[None]
    for processor in processors:
        expected = processor(None, expected)
    ids, kept = candidates_of(scores, filters)
    found = torch.full_like(scores, -torch.inf)
    found[slice(None) if ids is None else ids] = kept
    torch.testing.assert_close(found.softmax(-1), expected[0].softmax(-1))


@pytest.mark.parametrize("name", FILTERS)
@given(share=SHARES, seed=SEEDS, n_words=st.sampled_from([1, 20, 1000]))
@settings(deadline=None)
def test_each_filter_is_that_of_the_reference(name: str, share: float, seed: int, n_words: int) -> None:
    ours, theirs = FILTERS[name]
    assert_same_distribution([ours(share)], [theirs(share)], random_scores(seed, n_words))


@given(shares=st.dictionaries(st.sampled_from([*FILTERS]), SHARES), seed=SEEDS, banned=st.sets(st.integers(0, 10)))
@settings(deadline=None)
def test_filters_together_are_those_of_the_reference(shares: dict[str, float], seed: int, banned: set[int]) -> None:
    """They are applied in the order in which the rules build them."""
    scores = SuppressedTokens((*banned,)).apply(random_scores(seed), text_so_far([], []))
    chosen = [(pair, shares[name]) for name, pair in FILTERS.items() if name in shares]
    assert_same_distribution([ours(x) for (ours, _), x in chosen], [theirs(x) for (_, theirs), x in chosen], scores)


@pytest.mark.parametrize("top_k", [None, 1, 7, 500])
@pytest.mark.parametrize("top_p", [None, 0.1, 0.6, 0.95, 1.0])
@pytest.mark.parametrize(("temperature", "n_words"), [(0.3, 90), (1.0, 90), (2.5, 90), (1.0, 1000), (2.5, 1000)])
def test_filtered_distributions_equal_the_references(
    top_k: int | None, top_p: float | None, temperature: float, n_words: int
) -> None:
    torch.manual_seed(0)
    request = sampled(temperature=temperature, top_k=top_k, top_p=top_p)
    processors: list[Any] = [transformers.TemperatureLogitsWarper(temperature)]
    if top_k:
        processors.append(transformers.TopKLogitsWarper(top_k))
    if top_p and top_p < 1:
        processors.append(transformers.TopPLogitsWarper(top_p))
    for row in torch.randn(20, n_words) * 3:
        assert_same_distribution(candidate_filters(request), processors, row)


def sampled(**parameters: Any) -> GenerateRequest:
    tokens = random_text(2, N_WORDS, 0)
    return GenerateRequest(tokens=tokens, max_new_tokens=2, do_sample=True, seed=1, **parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"temperature": 0.7, "top_k": 5},
        {"temperature": 1.6, "top_p": 0.8},
        {"top_k": 8, "top_p": 0.9},
        {"min_p": 0.05},
        {"typical_p": 0.6, "temperature": 1.3},
    ],
    ids=str,
)
def test_draws_follow_the_filtered_distribution(parameters: dict[str, Any]) -> None:
    logits = torch.randn(1, N_WORDS, generator=torch.Generator().manual_seed(3)) * 1.5
    request = sampled(**parameters)
    ids, kept_scores = candidates_of(logits[0], candidate_filters(request))
    expected = torch.zeros(N_WORDS)
    expected[slice(None) if ids is None else ids] = kept_scores.softmax(-1)
    counts = torch.zeros(N_WORDS)
    for index in range(N_DRAWS):
        (continuation,) = SingleSearch(request, GenerationRules(), [0], index).advance(TokenScores(logits), [0])
        counts[continuation.token] += 1
    assert (counts[expected == 0] == 0).all()
    kept = expected > 0
    statistic = ((counts - N_DRAWS * expected)[kept].square() / (N_DRAWS * expected[kept])).sum().item()
    n_free = int(kept.sum()) - 1
    assert statistic < n_free + 4 * (2 * n_free) ** 0.5  # chi-squared: four deviations above its mean


def test_filters_keep_scores_that_are_not_numbers() -> None:
    """A search notices them by the log-probability of the token that is drawn, and ends."""
    generator = torch.Generator().manual_seed(0)
    for each in (TopK(3), TopP(0.5), MinP(0.5), TypicalP(0.5)):
        assert 0 <= draw(candidates_of(torch.full((N_WORDS,), torch.nan), [each]), generator) < N_WORDS


def test_a_neutral_request_has_no_rules() -> None:
    request = sampled(min_p=0.0, typical_p=1.0, top_p=1.0)
    assert logits_rules(request, GenerationRules(end_ids=(1,))) == []
    assert candidate_filters(request) == []


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
    demands = GenerationRules(end_ids=(1,), suppressed_ids=(2,), bad_words=((3, 4),), forced_end_id=1)
    assert logits_rules(request, demands) == [
        RepetitionPenalty(1.5),
        PresencePenalty(0.5),
        FrequencyPenalty(-0.5),
        NoRepeatNgrams(2),
        BadWords(((3, 4), (4,), (5, 6))),  # without the token that ends a text
        MinLength(3, (1,)),
        SuppressedTokens((2,)),
        ForcedToken(1, 8),
    ]


@given(seed=SEEDS, prompt=TOKENS, size=st.integers(0, 3), words=st.lists(st.tuples(st.integers(0, 19)), max_size=4))
@settings(deadline=None)
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
