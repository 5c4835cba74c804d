"""Steps that start before the tokens of the last one are known, as on GPUs, do not change what is generated."""

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.family import FamilySpec
from models.generation import running_batch
from models.generation.generation_rules import GenerationRules
from models.generation.generator import Generator
from models.generation.kv_cache import KeyValueCache
from models.generation.tasks import generate
from models.generation.token_scores import TokenScores
from models.tasks.generation import GenerateRequest
from models.transformers import gpt, vanilla
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import build

N_ENDS = 12
"""Number of the 60 tokens that end a text: often the likeliest one ends it, or is forbidden to."""


def generated(model: Generator[Any], requests: list[GenerateRequest]) -> list[list[tuple[list[int], str]]]:
    sequences = [result.sequences for result in generate(model, requests)]
    return [[([token.id for token in text.tokens], text.finish_reason) for text in texts] for texts in sequences]


@pytest.mark.parametrize("family", [gpt.FAMILY, vanilla.FAMILY], ids=["gpt", "vanilla"])
@given(data=st.data())
@settings(max_examples=40)
def test_decoding_ahead_changes_no_text(family: FamilySpec[Any], data: st.DataObject) -> None:
    model = cast("Generator[Any]", build(family, family.tiny[0]))
    model.generation_rules = GenerationRules(end_ids=tuple(range(N_ENDS)))
    sizes = st.tuples(
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
        for seed, (length, n_new, least, n, way) in enumerate(data.draw(st.lists(sizes, min_size=1, max_size=6)))
    ]
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        expected = generated(model, requests)
        decode_ahead(patch)
        assert generated(model, requests) == expected


def decode_ahead(patch: pytest.MonkeyPatch) -> list[TokenScores]:
    """Decode ahead on the CPU as well; return a list that gets the scores before each step that is started."""
    started: list[TokenScores] = []
    patch.setattr(running_batch, "uses_cuda_graphs", lambda _: True)
    patch.setattr(TokenScores, "request_likeliest", lambda scores: started.append(scores))
    return started


@pytest.mark.parametrize(("least", "n_taken_back"), [(0, 0), (6, 5)])
def test_a_step_after_other_tokens_than_the_likeliest_is_taken_back(
    least: int, n_taken_back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all tokens but one end a text, the likeliest ones are forbidden before the last."""
    model = cast("Generator[Any]", build(gpt.FAMILY, gpt.FAMILY.tiny[0]))
    model.generation_rules = GenerationRules(end_ids=tuple(range(model.vocab_size - 1)) if least else ())
    taken_back: list[KeyValueCache] = []
    drop_last_tokens = KeyValueCache.drop_last_tokens

    def watched(cache: KeyValueCache) -> None:
        taken_back.append(cache)
        drop_last_tokens(cache)

    monkeypatch.setattr(KeyValueCache, "drop_last_tokens", watched)
    started = decode_ahead(monkeypatch)
    request = GenerateRequest(tokens=random_text(3, 60, 0), max_new_tokens=6, min_new_tokens=least)
    with torch.inference_mode():
        (result,) = generate(model, [request])
    assert len(result.sequences[0].tokens) == 6
    assert len(started) == 5  # none after the token that is known to be the last
    assert len(taken_back) == n_taken_back
