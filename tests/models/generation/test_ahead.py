"""Steps that begin before the tokens of the last one are known, as on GPUs, change nothing of what is generated."""

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.family import FamilySpec
from models.generation import generator as module
from models.generation.generator import Generator
from models.generation.kv_cache import KeyValueCache
from models.generation.sampling import GenerationRules
from models.generation.scores import TokenScores
from models.tasks.text import GenerateRequest
from models.transformers import gpt, vanilla
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import build

N_ENDS = 12
"""Of 60 tokens: often the likeliest is one that ends a text, or is forbidden to."""


def generated(model: Generator, requests: list[GenerateRequest]) -> list[list[tuple[list[int], str]]]:
    results = model.generate(requests)
    return [[([token.id for token in one.tokens], one.finish_reason) for one in result.sequences] for result in results]


@pytest.mark.parametrize("family", [gpt.FAMILY, vanilla.FAMILY], ids=["gpt", "vanilla"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_nothing_changes(family: FamilySpec[Any], data: st.DataObject) -> None:
    model = cast("Generator", build(family, family.tiny[0]))
    model.rules = GenerationRules(ends=tuple(range(N_ENDS)))
    one = st.tuples(
        st.integers(1, 8), st.integers(1, 8), st.integers(0, 8), st.integers(1, 2), st.sampled_from("gggdb")
    )
    requests = [
        GenerateRequest(
            tokens=random_text(length, model.vocab_size, seed),
            max_new_tokens=n_new,
            min_new_tokens=min(least, n_new),
            n=n,
            do_sample=way == "d",
            num_beams=3 if way == "b" else 1,
            seed=seed,
        )
        for seed, (length, n_new, least, n, way) in enumerate(data.draw(st.lists(one, min_size=1, max_size=6)))
    ]
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        expected = generated(model, requests)
        begin_ahead(patch)
        assert generated(model, requests) == expected


def begin_ahead(patch: pytest.MonkeyPatch) -> list[TokenScores]:
    """From now on, on the CPU as well; what comes before each step that is begun."""
    begun: list[TokenScores] = []
    patch.setattr(module, "are_recorded", lambda _: True)
    patch.setattr(TokenScores, "ask", lambda scores: begun.append(scores))
    return begun


@pytest.mark.parametrize(("least", "n_taken_back"), [(0, 0), (6, 5)])
def test_a_step_that_went_wrong_is_taken_back(least: int, n_taken_back: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every token ends a text, all that are likeliest are forbidden before the last."""
    model = cast("Generator", build(gpt.FAMILY, gpt.FAMILY.tiny[0]))
    model.rules = GenerationRules(ends=tuple(range(model.vocab_size - 1))) if least else GenerationRules()
    taken_back: list[KeyValueCache] = []
    take_back = KeyValueCache.take_back

    def watched(cache: KeyValueCache) -> None:
        taken_back.append(cache)
        take_back(cache)

    monkeypatch.setattr(KeyValueCache, "take_back", watched)
    begun = begin_ahead(monkeypatch)
    request = GenerateRequest(tokens=random_text(3, 60, 0), max_new_tokens=6, min_new_tokens=least)
    with torch.inference_mode():
        (result,) = model.generate([request])
    assert len(result.sequences[0].tokens) == 6
    assert len(begun) == 5  # the last is known to be the last
    assert len(taken_back) == n_taken_back
