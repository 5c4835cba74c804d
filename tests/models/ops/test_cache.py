"""Attention to a cache, by kernels and by plain torch, and what is written to the cache."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.ops import reference
from models.ops.attention import attend_in_context
from models.ops.cache import CachedRows, has_cpu_kernels, write_to_cache
from models.ops.patterns import AttentionContext
from models.ops.segments import Segments
from tests.models.ops.kernels import CPU, DTYPES, assert_near, disable_cpu_kernels, needs_kernels
from tests.models.ops.test_attention import random_qkv

N_HEADS, ROOM = 2, 80


def random_memory(n_rows: int, width: int, dtype: torch.dtype) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, n_rows + 1, N_HEADS, ROOM, width).to(dtype)


@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12), width=st.integers(1, 20))
@settings(max_examples=30)
def test_plain_torch_equals_attention_within_the_rows(lengths: list[int], width: int) -> None:
    memory = random_memory(len(lengths), width, torch.float32)
    q, k, v = random_qkv(len(lengths), width, torch.float32)
    found = CachedRows(lengths, memory, has_kernels=False).attend(q, (k, v), memory, width**-0.5)
    for row, length in enumerate(lengths):
        keys, values = memory[:, row, :, :length].transpose(1, 2)
        assert torch.equal(keys[-1], k[row])
        assert torch.equal(values[-1], v[row])
        weights = reference.attention_weights(q[row, None], keys, width**-0.5)
        assert_near(found[row, None], torch.einsum("hqk,khd->qhd", weights, values), torch.float32)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("has_new", [False, True])
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12), width=st.integers(1, 140))
@settings(max_examples=40)
def test_kernels_equal_plain_torch(dtype: torch.dtype, lengths: list[int], width: int, *, has_new: bool) -> None:
    memory = random_memory(len(lengths), width, dtype)
    plain_memory = memory.float()
    q, k, v = random_qkv(len(lengths), width, dtype)
    rows, plain_rows = (CachedRows(lengths, part, has_kernels=part is memory) for part in (memory, plain_memory))
    found = rows.attend(q, (k, v) if has_new else None, memory, width**-0.5)
    plain_new = (k.float(), v.float()) if has_new else None
    expected = plain_rows.attend(q.float(), plain_new, plain_memory, width**-0.5)
    assert found.dtype == dtype
    assert_near(found, expected, dtype)
    assert torch.equal(memory.float(), plain_memory)
    assert torch.equal(rows.positions, torch.tensor(lengths) - 1)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@given(
    parts=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=5),
    width=st.integers(1, 140),
)
@settings(max_examples=40)
def test_kernels_continue_prompts_as_plain_torch_does(
    dtype: torch.dtype, parts: list[tuple[int, int]], width: int
) -> None:
    memory = random_memory(len(parts), width, dtype)
    plain_memory = memory.float()
    segments, rows = Segments([n for _, n in parts]), Segments([sum(part) for part in parts])
    q, k, v = random_qkv(sum(segments.lengths), width, dtype)
    lengths = torch.tensor(rows.lengths)
    context = AttentionContext.of_prompt_parts(segments, memory, lengths)
    found = attend_in_context(q, (k, v), context, width**-0.5)
    starts = torch.tensor([start for start, _ in parts])
    write_to_cache(plain_memory, k.float(), v.float(), segments.owners, segments.positions + starts[segments.owners])
    keys, values = (part[rows.owners, :, rows.positions] for part in plain_memory)
    expected = reference.suffix_attention(q.float(), keys, values, segments, rows, width**-0.5)
    assert_near(found, expected, dtype)
    assert torch.equal(memory.float(), plain_memory)


def test_a_cache_is_for_kernels_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_cpu_kernels(torch.float32, CPU) == (torch.float32 in DTYPES)
    assert not has_cpu_kernels(torch.float32, torch.device("cuda"))
    disable_cpu_kernels(monkeypatch)
    assert not has_cpu_kernels(torch.float32, CPU)
