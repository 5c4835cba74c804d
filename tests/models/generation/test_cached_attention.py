"""Attention over a cache beside attention within texts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.generation.cached_attention import CachedCrossAttention, DecodeAttention, PrefillAttention
from models.generation.kv_cache import CacheShape, KeyValueCache
from models.ops import avx512
from models.ops.segments import Segments
from models.text.attention_patterns import WithinTexts

N_HEADS, WIDTH, SCALE = 2, 8, 8**-0.5
SHAPE = CacheShape(n_layers=1, n_heads=N_HEADS, head_width=WIDTH, dtype=torch.float32, device=torch.device("cpu"))
Text = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values of a text, `[T, H, d]` each."""


@pytest.fixture(params=[True, False], ids=["kernels", "torch"])
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(avx512, "supports_dtype", lambda *_: False)


def random_texts(lengths: list[int]) -> list[Text]:
    torch.manual_seed(sum(lengths))
    return [part(torch.randn(3, length, N_HEADS, WIDTH), slice(None)) for length in lengths]


def part(text: Text | Tensor, tokens: slice) -> Text:
    q, k, v = text
    return q[tokens], k[tokens], v[tokens]


def joined(texts: list[Text]) -> Text:
    q, k, v = (torch.cat(parts) for parts in zip(*texts, strict=True))
    return q, k, v


def attended_within(texts: list[Text]) -> tuple[Tensor, ...]:
    """Return what the tokens of each text see of it and of those before it."""
    segments = Segments([len(q) for q, _, _ in texts])
    return segments.split(WithinTexts(segments, causal=True)(0, *joined(texts), SCALE))


def prefill(cache: KeyValueCache, texts: list[Text]) -> tuple[Tensor, ...]:
    segments = Segments([len(q) for q, _, _ in texts])
    attention = PrefillAttention(cache, segments, cache.add_parts(segments.lengths))
    return segments.split(attention(0, *joined(texts), SCALE))


@pytest.mark.usefixtures("_kernels")
@given(lengths=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=5))
@settings(max_examples=30)
def test_prompts_in_parts_see_what_whole_prompts_see(lengths: list[tuple[int, int]]) -> None:
    texts = random_texts([first + second for first, second in lengths])
    expected, cache = attended_within(texts), KeyValueCache(SHAPE)
    cuts = [first for first, _ in lengths]
    heads = prefill(cache, [part(text, slice(cut)) for text, cut in zip(texts, cuts, strict=True)])
    tails = prefill(cache, [part(text, slice(cut, None)) for text, cut in zip(texts, cuts, strict=True)])
    for head, tail, whole in zip(heads, tails, expected, strict=True):
        torch.testing.assert_close(torch.cat([head, tail]), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("_kernels")
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12))
@settings(max_examples=30)
def test_single_tokens_see_their_rows(lengths: list[int]) -> None:
    texts = random_texts([length + 1 for length in lengths])
    expected, cache = attended_within(texts), KeyValueCache(SHAPE)
    prefill(cache, [part(text, slice(-1)) for text in texts])
    cache.extend([1] * len(texts))
    last = joined([part(text, slice(-1, None)) for text in texts])
    found = DecodeAttention(cache)(0, *last, SCALE)
    torch.testing.assert_close(found, torch.stack([whole[-1] for whole in expected]), rtol=1e-5, atol=1e-5)
    again = CachedCrossAttention(cache)(0, last[0], SCALE)
    torch.testing.assert_close(again, found, rtol=1e-5, atol=1e-5)


def test_positions_continue_those_of_the_rows() -> None:
    cache, segments = KeyValueCache(SHAPE), Segments([2, 3, 1])
    cache.append([4, 7])
    attention = PrefillAttention(cache, segments, cache.add_parts(segments.lengths))
    assert attention.positions.tolist() == [4, 5, 7, 8, 9, 0]
    assert cache.lengths == [6, 10, 1]
    assert DecodeAttention(cache).positions.tolist() == [5, 9, 0]


def test_attention_patterns_do_not_change_the_lengths_of_a_cache() -> None:
    cache = KeyValueCache(SHAPE)
    starts = cache.add_parts([2, 3])
    for _ in range(2):
        PrefillAttention(cache, Segments([2, 3]), starts)
        DecodeAttention(cache)
    assert cache.lengths == [2, 3]
