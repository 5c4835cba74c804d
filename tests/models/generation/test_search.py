"""Draws follow their distribution; a running batch is nobody's business but its own."""

from typing import Any, cast

import pytest
import torch

from models.errors import InvalidItems
from models.generation.generator import Generator, RunningBatch
from models.generation.sampling import GenerationRules, candidates
from models.generation.scores import TokenScores
from models.generation.search import SingleSearch
from models.tasks.text import GenerateRequest, Progress
from models.transformers.gpt import FAMILY
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import build

N_DRAWS = 4000


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, None, None), (0.7, 5, None), (1.6, None, 0.8), (1.0, 8, 0.9)]
)
def test_draws_follow_the_filtered_distribution(temperature: float, top_k: int | None, top_p: float | None) -> None:
    logits = torch.randn(1, 20, generator=torch.Generator().manual_seed(3)) * 1.5
    ids, kept_scores = candidates(logits[0], temperature, top_k, top_p)
    expected = torch.zeros(20)
    expected[slice(None) if ids is None else ids] = kept_scores.softmax(-1)
    counts = torch.zeros(20)
    for index in range(N_DRAWS):
        request = GenerateRequest(
            tokens=random_text(2, 20, 0),
            max_new_tokens=2,
            do_sample=True,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=1,
        )
        (continuation,) = SingleSearch(request, GenerationRules(), [0], index).advance(TokenScores(logits), [0])
        counts[continuation.token] += 1
    assert (counts[expected == 0] == 0).all()
    kept = expected > 0
    statistic = ((counts - N_DRAWS * expected)[kept].square() / (N_DRAWS * expected[kept])).sum().item()
    n_free = int(kept.sum()) - 1
    assert statistic < n_free + 4 * (2 * n_free) ** 0.5  # chi-squared: four deviations above its mean


def gpt() -> Generator:
    return cast("Generator", build(FAMILY, FAMILY.tiny[0]))


def request(seed: int, n_new: int, n: int = 1) -> GenerateRequest:
    tokens = random_text(1 + seed % 5, 60, seed)
    return GenerateRequest(tokens=tokens, max_new_tokens=n_new, do_sample=True, temperature=2.0, seed=seed, n=n)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_new_tokens": 70}, r"min_new_tokens is 70; it must not exceed max_new_tokens, \d+"),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, "min_new_tokens is 9; it must not exceed max_new_tokens, 3"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; after a text of 3 tokens"),
        ({"max_new_tokens": -1}, "max_new_tokens is -1; after a text of 3 tokens"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be positive"),
        ({"top_p": 1.5}, "top_p is 1.5; it must be above 0 and at most 1"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"repetition_penalty": -2.0}, "repetition_penalty is -2.0; it must be positive"),
        ({"num_beams": 2, "do_sample": True}, "num_beams above 1 is a search, .* num_beams is 2"),
        ({"num_beams": 2, "n": 3}, "n is 3; it must not exceed num_beams, 2"),
    ],
)
def test_what_cannot_be_asked_names_the_value_and_the_limit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        gpt().settled(GenerateRequest(tokens=random_text(3, 60, 0), **parameters))


def test_who_joins_and_leaves_changes_nothing_for_the_others() -> None:
    model = gpt()
    requests = {seed: request(seed, 3 + 5 * seed % 13, 1 + seed % 2) for seed in range(12)}
    alone = {seed: model.generate([one])[0] for seed, one in requests.items()}
    generation: RunningBatch[int] = model.generation()
    told: dict[int, list[Progress]] = {seed: [] for seed in requests}
    waiting, ended = list(requests), []
    while waiting or generation.n_rows:
        if waiting:
            newcomers, waiting = waiting[:2], waiting[2:]
            generation.add([(seed, requests[seed]) for seed in newcomers])
        generation.remove(lambda key, sequence: key == 7 and bool(told[7]))
        for seed, progress in generation.step():
            told[seed].append(progress)
        ended += generation.ended()
    assert sorted(ended) == list(requests)
    for seed, result in alone.items():
        for number, sequence in enumerate(result.sequences):
            got = [p.token.id for p in told[seed] if p.sequence == number and p.token]
            ids = [token.id for token in sequence.tokens]
            assert got == ids if seed != 7 else got == ids[: len(got)]
    assert len(told[7]) < sum(len(sequence.tokens) for sequence in alone[7].sequences)


def test_a_text_that_has_ended_is_left_alone_by_those_it_shared_a_row_with() -> None:
    model = gpt()
    model.rules = GenerationRules(ends=tuple(range(30)))  # of 60: about half of all texts end at once
    for seed in range(40):
        generation: RunningBatch[int] = model.generation()
        generation.add([(0, request(seed, 5, n=2))])
        ended: set[int] = set()
        while generation.n_rows:
            for _, progress in generation.step():
                assert progress.sequence not in ended
                if progress.finish_reason:
                    ended.add(progress.sequence)
        assert ended == {0, 1}


def test_a_model_without_room_says_so() -> None:
    model = gpt()
    full = GenerateRequest(tokens=random_text(model.n_positions, 60, 0))
    with pytest.raises(InvalidItems, match=r"after a text of 24 tokens this model has room for 0"):
        model.generate([full])
    (cut,) = model.generate([GenerateRequest(tokens=full.tokens, truncate=True, max_new_tokens=5)])
    assert len(cut.sequences[0].tokens) == 5
