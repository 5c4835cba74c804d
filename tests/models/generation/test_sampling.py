"""Filters beside the logits warpers of `transformers`, and draws beside the distributions that they follow."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.generation.generation_rules import GenerationRules
from models.generation.sampling import (
    CandidateFilter,
    MinP,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    candidates_of,
    draw,
    filters_for,
)
from models.generation.search import SingleSearch
from models.generation.token_scores import TokenScores
from models.tasks.generation import GenerateRequest
from tests.models.transformers.reference import random_text

N_WORDS, N_DRAWS = 20, 4000
SEEDS = st.integers(0, 10**6)


def random_scores(seed: int, n: int = N_WORDS) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed)) * 3


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
    # of 1,000 words, the last that is kept has so little probability that rounding decides about it
    torch.testing.assert_close(found.softmax(-1), expected[0].softmax(-1), rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("name", FILTERS)
@given(share=SHARES, seed=SEEDS, n_words=st.sampled_from([1, 20, 1000]))
def test_each_filter_is_that_of_the_reference(name: str, share: float, seed: int, n_words: int) -> None:
    ours, theirs = FILTERS[name]
    assert_same_distribution([ours(share)], [theirs(share)], random_scores(seed, n_words))


@given(shares=st.dictionaries(st.sampled_from([*FILTERS]), SHARES), seed=SEEDS, banned=st.sets(st.integers(0, 10)))
def test_filters_together_are_those_of_the_reference(shares: dict[str, float], seed: int, banned: set[int]) -> None:
    """They are applied in the order in which the rules build them."""
    scores = random_scores(seed)
    scores[[*banned]] = -torch.inf
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
        assert_same_distribution(filters_for(request), processors, row)


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
    ids, kept_scores = candidates_of(logits[0], filters_for(request))
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


@pytest.mark.parametrize("temperature", [1e-4, 1e-30, 1e-38, 1e-45, 1e-300, 5e-324])
def test_however_low_the_temperature_the_likeliest_token_is_drawn(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for seed in range(5):
        scores = random_scores(seed) * 100
        for others in ([], [TopK(5)], [TopP(0.9)], [MinP(0.1)], [TypicalP(0.9)]):
            candidates = candidates_of(scores, [Temperature(temperature), *others])
            assert draw(candidates, generator) == scores.argmax()


def test_filters_keep_scores_that_are_not_numbers() -> None:
    """A search notices them by the log-probability of the token that is drawn, and ends."""
    generator = torch.Generator().manual_seed(0)
    for each in (Temperature(0.5), TopK(3), TopP(0.5), MinP(0.5), TypicalP(0.5)):
        assert 0 <= draw(candidates_of(torch.full((N_WORDS,), torch.nan), [each]), generator) < N_WORDS


def test_a_neutral_request_has_no_filters() -> None:
    assert filters_for(sampled(min_p=0.0, typical_p=1.0, top_p=1.0)) == []
