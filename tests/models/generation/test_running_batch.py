"""Requests join and leave a running batch, and do not change the texts of other requests."""

from typing import Any, cast

import pytest

from models.errors import InvalidItems
from models.generation.generation_rules import GenerationRules
from models.generation.generator import Generator
from models.generation.requests import complete_request
from models.generation.running_batch import RunningBatch
from models.generation.tasks import generate
from models.tasks.generation import GenerateRequest, Progress
from models.transformers.gpt import FAMILY
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import build


def gpt() -> Generator[Any]:
    return cast("Generator[Any]", build(FAMILY, FAMILY.tiny[0]))


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
        ({"min_p": 1.5}, "min_p is 1.5; it must be 0 to 1"),
        ({"typical_p": 0.0}, "typical_p is 0.0; it must be above 0 and at most 1"),
        ({"repetition_penalty": -2.0}, "repetition_penalty is -2.0; it must be positive"),
        ({"presence_penalty": 2.5}, "presence_penalty is 2.5; it must be -2.0 to 2.0"),
        ({"frequency_penalty": -3.0}, "frequency_penalty is -3.0; it must be -2.0 to 2.0"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size is -1; it must be at least 0"),
        ({"bad_words": ((1, 2), ())}, "bad_words is .*; it must be a list of words of one token or more"),
        ({"bad_words": ((1, 60),)}, "bad_words has the token 60; this model's are 0 to 59"),
        ({"num_beams": 2, "do_sample": True}, "num_beams is 2; it must be 1 where do_sample is true"),
        ({"num_beams": 2, "n": 3}, "n is 3; it must be at most num_beams"),
    ],
)
def test_an_invalid_request_is_refused_with_the_value_and_the_limit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        complete_request(gpt(), GenerateRequest(tokens=random_text(3, 60, 0), **parameters))


def test_texts_do_not_depend_on_requests_that_join_and_leave() -> None:
    model = gpt()
    requests = {seed: request(seed, 3 + 5 * seed % 13, 1 + seed % 2) for seed in range(12)}
    alone = {seed: generate(model, [each])[0] for seed, each in requests.items()}
    batch: RunningBatch[int] = RunningBatch(model)
    events: dict[int, list[Progress]] = {seed: [] for seed in requests}
    waiting, ended = list(requests), []
    while waiting or batch.n_rows:
        if waiting:
            newcomers, waiting = waiting[:2], waiting[2:]
            batch.add([(seed, requests[seed]) for seed in newcomers])
        batch.remove(lambda key, sequence: key == 7 and bool(events[7]))
        for seed, progress in batch.step():
            events[seed].append(progress)
        ended += batch.take_ended()
    assert sorted(ended) == list(requests)
    for seed, result in alone.items():
        for number, sequence in enumerate(result.sequences):
            got = [p.token.id for p in events[seed] if p.sequence == number and p.token]
            ids = [token.id for token in sequence.tokens]
            assert got == ids if seed != 7 else got == ids[: len(got)]
    assert len(events[7]) < sum(len(sequence.tokens) for sequence in alone[7].sequences)


def test_a_text_that_has_ended_gets_no_tokens_of_a_text_with_which_it_shared_a_row() -> None:
    model = gpt()
    model.generation_rules = GenerationRules(end_ids=tuple(range(30)))  # of 60: about half of all texts end at once
    for seed in range(40):
        batch: RunningBatch[int] = RunningBatch(model)
        batch.add([(0, request(seed, 5, n=2))])
        ended: set[int] = set()
        while batch.n_rows:
            for _, progress in batch.step():
                assert progress.sequence not in ended
                if progress.finish_reason:
                    ended.add(progress.sequence)
        assert ended == {0, 1}


def test_a_prompt_that_leaves_no_room_is_refused_or_truncated() -> None:
    model = gpt()
    full = GenerateRequest(tokens=random_text(model.n_positions, 60, 0))
    with pytest.raises(InvalidItems, match=r"after a text of 24 tokens this model has room for 0"):
        generate(model, [full])
    (cut,) = generate(model, [GenerateRequest(tokens=full.tokens, truncate=True, max_new_tokens=5)])
    assert len(cut.sequences[0].tokens) == 5
