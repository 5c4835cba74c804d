"""Prompts are read in parts, beside running sequences, and what several of them begin with is read once."""

from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.generation import running_batch
from models.generation.generator import Generator
from models.generation.kv_cache import KeyValueCache
from models.generation.prompt_cache import MIN_PREFIX_TOKENS, PromptCache
from models.generation.running_batch import RunningBatch
from models.generation.tasks import generate
from models.tasks.generation import GenerateRequest
from models.tasks.text import Tokens
from models.transformers import gpt, vanilla
from models.transformers.gpt.config import GptConfig
from tests.models.generation.generating import ids
from tests.models.transformers.test_contract import build

N_WORDS, N_POSITIONS = 50, 128


def decoder() -> Generator[KeyValueCache]:
    config = GptConfig(vocab_size=N_WORDS, n_positions=N_POSITIONS, width=16, n_layers=2, n_heads=2, inner_width=24)
    return cast("Generator[KeyValueCache]", build(gpt.FAMILY, config))


def prompt(length: int, seed: int) -> list[int]:
    token_ids: list[int] = torch.randint(N_WORDS, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return token_ids


def request(token_ids: list[int], n_new: int = 5, n: int = 1, *, do_sample: bool = False) -> GenerateRequest:
    tokens = Tokens.of_ids(token_ids)
    return GenerateRequest(tokens=tokens, max_new_tokens=n_new, n=n, seed=len(token_ids), do_sample=do_sample)


def finish(batch: RunningBatch[int]) -> dict[int, list[int]]:
    """Step until nothing runs; return the ids of each request's first text."""
    tokens: dict[int, list[int]] = {}
    while batch.n_rows:
        for key, progress in batch.step():
            if progress.sequence == 0 and progress.token:
                tokens.setdefault(key, []).append(progress.token.id)
    return tokens


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6), decoding=st.integers(1, 20), idle=st.integers(1, 50)
)
@settings(max_examples=30)
def test_parts_of_any_size_give_what_the_whole_gives(lengths: list[int], decoding: int, idle: int) -> None:
    model = decoder()
    requests = [request(prompt(length, length), do_sample=True) for length in lengths]
    with torch.inference_mode():
        whole = [generate(model, [each])[0] for each in requests]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(running_batch, "MAX_PREFILL_WHILE_DECODING", decoding)
            patch.setattr(running_batch, "MAX_PREFILL_WHEN_IDLE", idle)
            in_parts = generate(model, requests)
    assert ids(in_parts) == ids(whole)


def test_running_sequences_do_not_wait_for_a_long_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHILE_DECODING", 10)
    batch: RunningBatch[str] = RunningBatch(decoder())
    with torch.inference_mode():
        batch.add([("short", request(prompt(3, 0), 12))])
        batch.step()
        batch.add([("long", request(prompt(95, 1)))])
        n_read, keys = [batch.n_prefilled], []
        while "long" not in keys:
            keys += [key for key, _ in batch.step()]
            n_read.append(batch.n_prefilled)
    assert keys == ["short"] * 9 + ["short", "long"]
    assert {after - before for before, after in pairwise(n_read)} == {10, 5}


def test_the_scores_of_running_sequences_are_not_copied_while_no_prompt_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHILE_DECODING", 10)
    batch: RunningBatch[int] = RunningBatch(decoder())
    with torch.inference_mode():
        batch.add([(0, request(prompt(3, 0), 12))])
        batch.step()
        batch.add([(1, request(prompt(95, 1)))])
        before = batch._scores
        batch._prefill()
    assert batch._scores is before


def test_an_abandoned_prompt_is_not_read_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHEN_IDLE", 10)
    batch: RunningBatch[str] = RunningBatch(decoder())
    with torch.inference_mode():
        batch.add([("gone", request(prompt(95, 1))), ("half", request(prompt(12, 2), n=2)), ("next", request([1]))])
        batch.step()
        batch.remove(lambda key, sequence: key == "gone" or (key == "half" and sequence == 0))
        assert batch.take_ended() == ["gone"]
        assert batch.n_rows == 2
        texts: set[tuple[str, int]] = set()
        while batch.n_rows:
            texts |= {(key, progress.sequence) for key, progress in batch.step()}
    assert texts == {("half", 1), ("next", 0)}
    assert batch.n_prefilled == 10 + 12 + 1
    assert batch.take_ended() == ["half", "next"]


def test_several_texts_of_one_prompt_read_it_once() -> None:
    model = decoder()
    several = request(prompt(30, 1), n=4, do_sample=True)
    batch: RunningBatch[int] = RunningBatch(model)
    with torch.inference_mode():
        batch.add([(0, several)])
        assert batch.n_rows == 4
        tokens = finish(batch)
        assert batch.n_prefilled == 30
        (alone,) = generate(model, [request(prompt(30, 1), do_sample=True)])
    assert tokens[0] == [token.id for token in alone.sequences[0].tokens]


def test_what_prompts_begin_with_is_read_once() -> None:
    model = decoder()
    shared = prompt(40, 1)
    prompts = [shared + prompt(length, length) for length in (3, 20, 1)]
    batch: RunningBatch[int] = RunningBatch(model, max_prefix_tokens=200)
    with torch.inference_mode():
        for key, token_ids in enumerate([*prompts, prompts[1], prompts[1][:45]]):
            before = batch.n_prefilled
            batch.add([(key, request(token_ids))])
            tokens = finish(batch)
            (alone,) = generate(model, [request(token_ids)])
            assert tokens[key] == [token.id for token in alone.sequences[0].tokens]
            assert batch.n_prefilled - before == [43, 20, 1, 1, 1][key]


def caches(max_tokens: int) -> tuple[PromptCache[KeyValueCache], KeyValueCache]:
    return PromptCache(max_tokens), decoder().new_cache()


def test_prompts_that_are_unused_for_longest_are_dropped_first() -> None:
    prompt_cache, cache = caches(100)
    prompts = [torch.tensor(prompt(30, seed)) for seed in range(4)]
    cache.append([30])
    for token_ids in prompts[:3]:
        prompt_cache.store(token_ids, cache, 0)
    assert prompt_cache.start_row(prompts[0], cache) == 29
    prompt_cache.store(prompts[3], cache, 0)
    assert [prompt_cache.start_row(token_ids, cache) for token_ids in prompts] == [29, 0, 29, 29]
    assert cache.lengths == [30, 29, 29, 0, 29, 29]


def test_prompts_that_are_short_or_too_long_are_not_kept() -> None:
    for length, max_tokens in ((MIN_PREFIX_TOKENS, 100), (101, 100), (30, 0)):
        prompt_cache, cache = caches(max_tokens)
        cache.append([length])
        token_ids = torch.tensor(prompt(length, 0))
        prompt_cache.store(token_ids, cache, 0)
        assert prompt_cache.start_row(torch.cat([token_ids, token_ids]), cache) == 0


def test_an_encoder_decoder_reads_texts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHILE_DECODING", 1)
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHEN_IDLE", 1)
    model = cast("Generator[Any]", build(vanilla.FAMILY, vanilla.FAMILY.tiny[0]))
    requests = [request(prompt(length, length), 4) for length in (9, 2, 7)]
    with torch.inference_mode():
        together, alone = generate(model, requests), [generate(model, [each])[0] for each in requests]
    assert ids(together) == ids(alone)
