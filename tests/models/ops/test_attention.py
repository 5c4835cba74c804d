"""Attention within texts of mixed length, by each implementation."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.ops import reference
from models.ops.attention import attention, biased_attention, block_attention, suffix_attention
from models.ops.flash import supports_flash
from models.ops.segments import Segments
from tests.models.ops.kernels import DTYPES, assert_near, needs_kernels

LENGTHS = st.lists(st.integers(1, 70), min_size=1, max_size=5)


def random_qkv(n: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(n, 3, 2, width).to(dtype).unbind(1)
    return q, k, v


def attention_text_by_text(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float, *, causal: bool
) -> Tensor:
    """Compute attention by its definition, in double precision."""
    parts: list[Tensor] = []
    for queries, keys, values in zip(*(segments.split(x.double()) for x in (q, k, v)), strict=True):
        scores = torch.einsum("qhd,khd->hqk", queries, keys) * scale
        if causal:
            n = torch.arange(len(keys))
            scores = scores.masked_fill(n > n[:, None], -torch.inf)
        parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), values))
    return torch.cat(parts)


@pytest.mark.parametrize("causal", [False, True])
@given(lengths=LENGTHS, width=st.integers(1, 70))
@example(lengths=[4, 4, 4], width=8)
@example(lengths=[1, 7, 7, 1, 130], width=8)
@settings(max_examples=30)
def test_the_reference_equals_the_definition(lengths: list[int], width: int, *, causal: bool) -> None:
    torch.manual_seed(0)
    segments = Segments(lengths)
    qkv = random_qkv(sum(lengths), width, torch.float32)
    expected = attention_text_by_text(*qkv, segments, width**-0.5, causal=causal)
    assert_near(reference.attention(*qkv, segments, width**-0.5, causal=causal), expected, torch.float32)
    block_table = torch.from_numpy(segments.block_table)
    assert_near(block_attention(*qkv, block_table, width**-0.5, causal=causal), expected, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@given(lengths=LENGTHS, width=st.integers(1, 70))
@example(lengths=[4, 4, 4], width=8)
@example(lengths=[1, 7, 7, 1, 130], width=8)
@settings(max_examples=30, deadline=None)
def test_a_bias_is_added_to_the_scores_of_each_text(dtype: torch.dtype, lengths: list[int], width: int) -> None:
    torch.manual_seed(0)
    segments, scale, longest = Segments(lengths), width**-0.5, max(lengths)
    q, k, v = random_qkv(sum(lengths), width, dtype)
    bias = torch.randn(2, longest, longest).to(dtype)
    expected: list[Tensor] = []
    for queries, keys, values in zip(*(segments.split(x.double()) for x in (q, k, v)), strict=True):
        n = len(keys)
        scores = torch.einsum("qhd,khd->hqk", queries, keys) * scale + bias[:, :n, :n]
        expected.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), values))
    found = biased_attention(q, k, v, segments, bias, scale)
    assert found.dtype == dtype
    assert_near(found, torch.cat(expected), dtype)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@given(lengths=LENGTHS, width=st.integers(1, 70), causal=st.booleans())
@settings(max_examples=60)
def test_kernels_equal_the_reference(dtype: torch.dtype, lengths: list[int], width: int, *, causal: bool) -> None:
    torch.manual_seed(0)
    segments = Segments(lengths)
    q, k, v = random_qkv(sum(lengths), width, dtype)
    expected = reference.attention(q.float(), k.float(), v.float(), segments, width**-0.5, causal=causal)
    found = attention(q, k, v, segments, width**-0.5, causal=causal)
    assert found.dtype == dtype
    assert_near(found, expected, dtype)
    alone = [
        attention(*text, Segments([len(text[0])]), width**-0.5, causal=causal)
        for text in zip(segments.split(q), segments.split(k), segments.split(v), strict=True)
    ]
    assert torch.equal(torch.cat(alone), found)


@needs_kernels
@pytest.mark.parametrize("part", [0, 1, 2])
def test_nan_stays_in_its_text(part: int) -> None:
    qkv = random_qkv(28, 8, torch.float32)
    qkv[part][9] = math.nan
    found = attention(*qkv, Segments([5, 20, 3]), 1.0).isfinite().all(-1).all(-1)
    assert found[:5].all()
    assert found[25:].all()
    assert not found[9]


def test_kernels_are_not_chosen_where_gradients_are_needed() -> None:
    q, k, v = (x.requires_grad_() for x in random_qkv(9, 8, torch.float32))
    attention(q, k, v, Segments([4, 5]), 1.0).sum().backward()  # type: ignore[no-untyped-call]
    assert q.grad is not None


@given(parts=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=5))
@settings(max_examples=30)
def test_the_last_tokens_of_texts_see_what_they_see_among_all(parts: list[tuple[int, int]]) -> None:
    torch.manual_seed(0)
    whole = Segments([sum(part) for part in parts])
    last = Segments([n for _, n in parts])
    q, k, v = random_qkv(sum(whole.lengths), 8, torch.float32)
    expected = reference.attention(q, k, v, whole, 0.3, causal=True)
    is_last = torch.cat([torch.arange(start + n) >= start for start, n in parts])
    assert_near(suffix_attention(q[is_last], k, v, last, whole, 0.3), expected[is_last], torch.float32)


def test_flash_attention_is_for_gpus() -> None:
    assert not supports_flash(torch.zeros(1, 4, 16, dtype=torch.bfloat16))
