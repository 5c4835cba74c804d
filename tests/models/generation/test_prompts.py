"""Prompts are read a part at a time, beside texts that go on, and what two of them begin with is read once."""

from itertools import pairwise
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.generation import generator as module
from models.generation.generator import Generator, RunningBatch
from models.generation.kv_cache import KeyValueCache
from models.generation.prompt_cache import MIN_PREFIX, PromptCache
from models.tasks.text import GenerateRequest, Tokens
from models.transformers import gpt, vanilla
from models.transformers.gpt.config import GptConfig
from tests.models.transformers.test_contract import build

N_WORDS, N_POSITIONS = 50, 128


def decoder() -> Generator:
    config = GptConfig(vocab_size=N_WORDS, n_positions=N_POSITIONS, width=16, n_layers=2, n_heads=2, inner_width=24)
    return cast("Generator", build(gpt.FAMILY, config))


def prompt(length: int, seed: int) -> list[int]:
    ids: list[int] = torch.randint(N_WORDS, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return ids


def request(ids: list[int], n_new: int = 5, n: int = 1, **parameters: float) -> GenerateRequest:
    return GenerateRequest(tokens=Tokens.of_ids(ids), max_new_tokens=n_new, n=n, seed=len(ids), **parameters)  # type: ignore[arg-type]


def finished(generation: RunningBatch[int]) -> dict[int, list[int]]:
    """All that is told until nothing runs, of each request's first text."""
    told: dict[int, list[int]] = {}
    while generation.n_rows:
        for key, progress in generation.step():
            if progress.sequence == 0 and progress.token:
                told.setdefault(key, []).append(progress.token.id)
    return told


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6), beside=st.integers(1, 20), alone=st.integers(1, 50)
)
@settings(max_examples=30, deadline=None)
def test_parts_of_any_size_give_what_the_whole_gives(lengths: list[int], beside: int, alone: int) -> None:
    model = decoder()
    requests = [request(prompt(length, length), do_sample=True) for length in lengths]
    with torch.inference_mode():
        whole = [model.generate([one])[0] for one in requests]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "N_READ_BESIDE", beside)
            patch.setattr(module, "N_READ_ALONE", alone)
            parted = model.generate(requests)
    for one, other in zip(whole, parted, strict=True):
        assert [token.id for token in one.sequences[0].tokens] == [token.id for token in other.sequences[0].tokens]


def test_who_runs_does_not_wait_for_a_long_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_READ_BESIDE", 10)
    generation: RunningBatch[str] = decoder().generation()
    with torch.inference_mode():
        generation.add([("short", request(prompt(3, 0), 12))])
        generation.step()
        generation.add([("long", request(prompt(95, 1)))])
        n_read, told = [generation.n_read], []
        while "long" not in told:
            told += [key for key, _ in generation.step()]
            n_read.append(generation.n_read)
    assert told == ["short"] * 9 + ["short", "long"]
    assert {after - before for before, after in pairwise(n_read)} == {10, 5}


def test_while_no_prompt_is_whole_nothing_of_those_that_run_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_READ_BESIDE", 10)
    generation: RunningBatch[int] = decoder().generation()
    with torch.inference_mode():
        generation.add([(0, request(prompt(3, 0), 12))])
        generation.step()
        generation.add([(1, request(prompt(95, 1)))])
        before = generation._scores
        generation._read()
    assert generation._scores is before


def test_a_prompt_that_nobody_waits_for_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_READ_ALONE", 10)
    generation: RunningBatch[str] = decoder().generation()
    with torch.inference_mode():
        generation.add(
            [("gone", request(prompt(95, 1))), ("half", request(prompt(12, 2), n=2)), ("next", request([1]))]
        )
        generation.step()
        generation.remove(lambda key, sequence: key == "gone" or (key == "half" and sequence == 0))
        assert generation.ended() == ["gone"]
        assert generation.n_rows == 2
        told = []
        while generation.n_rows:
            told += [(key, progress.sequence) for key, progress in generation.step()]
    assert set(told) == {("half", 1), ("next", 0)}
    assert generation.n_read == 10 + 12 + 1
    assert generation.ended() == ["half", "next"]


def test_several_texts_of_one_prompt_read_it_once() -> None:
    model = decoder()
    several = request(prompt(30, 1), n=4, do_sample=True)
    generation: RunningBatch[int] = model.generation()
    with torch.inference_mode():
        generation.add([(0, several)])
        assert generation.n_rows == 4
        told = finished(generation)
        assert generation.n_read == 30
        (alone,) = model.generate([request(prompt(30, 1), do_sample=True)])
    assert told[0] == [token.id for token in alone.sequences[0].tokens]


def test_what_prompts_begin_with_is_read_once() -> None:
    model = decoder()
    shared = prompt(40, 1)
    prompts = [shared + prompt(length, length) for length in (3, 20, 1)]
    generation: RunningBatch[int] = model.generation(200)
    with torch.inference_mode():
        for key, ids in enumerate([*prompts, prompts[1], prompts[1][:45]]):
            before = generation.n_read
            generation.add([(key, request(ids))])
            told = finished(generation)
            (alone,) = model.generate([request(ids)])
            assert told[key] == [token.id for token in alone.sequences[0].tokens]
            assert generation.n_read - before == [43, 20, 1, 1, 1][key]


def remembering(n_tokens: int) -> tuple[PromptCache, KeyValueCache]:
    model = decoder()
    return PromptCache(n_tokens), cast("KeyValueCache", model.new_cache())


def test_the_longest_unused_are_forgotten_first() -> None:
    prefixes, cache = remembering(100)
    prompts = [torch.tensor(prompt(30, seed)) for seed in range(4)]
    cache.add([30])
    for one in prompts[:3]:
        prefixes.keep(one, cache, 0)
    assert prefixes.begin(prompts[0], cache) == 29
    prefixes.keep(prompts[3], cache, 0)
    assert [prefixes.begin(one, cache) for one in prompts] == [29, 0, 29, 29]
    assert cache.lengths == [30, 29, 29, 0, 29, 29]


def test_what_is_short_or_too_long_is_not_remembered() -> None:
    for length, n_tokens in ((MIN_PREFIX, 100), (101, 100), (30, 0)):
        prefixes, cache = remembering(n_tokens)
        cache.add([length])
        ids = torch.tensor(prompt(length, 0))
        prefixes.keep(ids, cache, 0)
        assert prefixes.begin(torch.cat([ids, ids]), cache) == 0


def test_a_translator_reads_texts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_READ_BESIDE", 1)
    monkeypatch.setattr(module, "N_READ_ALONE", 1)
    model = cast("Generator", build(vanilla.FAMILY, vanilla.FAMILY.tiny[0]))
    requests = [request(prompt(length, length), 4) for length in (9, 2, 7)]
    with torch.inference_mode():
        together, alone = model.generate(requests), [model.generate([one])[0] for one in requests]
    for one, other in zip(together, alone, strict=True):
        assert [token.id for token in one.sequences[0].tokens] == [token.id for token in other.sequences[0].tokens]
