"""The kernels for GPUs beside the plain operations; skipped where there is no GPU."""

import pytest
import torch
from torch import Tensor, nn

from models.ops import reference, triton
from models.ops.segments import Segments
from models.tasks.text import Pooling
from tests.models.ops.kernels import assert_near

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
DEVICE = "cuda"
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
LENGTHS = [1, 70, 64, 3, 130, 65]


def random_values(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw).to(DEVICE, dtype)


def test_there_are_none_for_values_on_a_cpu() -> None:
    x = torch.zeros(2, 3)
    predicates = triton.supports_tensor, triton.supports_rows, triton.supports_attention
    assert not any(supports(x) for supports in predicates)


@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 48, 768, 1000])
def test_sums_and_norms(dtype: torch.dtype, width: int) -> None:
    x, added = random_values(2, 7, width, dtype=dtype).unbind()
    norm = nn.LayerNorm(width).to(DEVICE, dtype)
    nn.init.normal_(norm.weight)
    total, expected = reference.sum_and_norm(x, added, norm)
    assert_near(triton.add_norm(x, added, norm), expected, dtype)
    found_total, found = triton.sum_and_norm(x, added, norm)
    assert torch.equal(found_total, total)
    assert_near(found, expected, dtype)


@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [5, 16, 64])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_within_texts(dtype: torch.dtype, width: int, *, causal: bool) -> None:
    segments = Segments(LENGTHS, DEVICE)
    q, k, v = random_values(sum(LENGTHS), 3, 2, width, dtype=dtype).unbind(1)
    expected = reference.attention(q.float(), k.float(), v.float(), segments, width**-0.5, causal=causal)
    found = triton.block_attention(q, k, v, triton.move_block_table(segments), width**-0.5, causal=causal)
    assert_near(found, expected, dtype)


@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [5, 16, 64])
@pytest.mark.parametrize("has_new", [False, True])
def test_attention_to_a_cache(dtype: torch.dtype, width: int, *, has_new: bool) -> None:
    lengths = [1, 150, 128, 3]
    memory = random_values(2, 6, 2, 200, width, dtype=dtype)
    expected_memory = memory.clone()
    q, k, v = random_values(len(lengths), 3, 2, width, dtype=dtype).unbind(1)
    positions = torch.tensor(lengths, device=DEVICE) - 1
    found = triton.attend_to_cache(q, (k, v) if has_new else None, memory, positions, width**-0.5)
    if has_new:
        reference.write_to_cache(expected_memory, k, v, torch.arange(len(lengths), device=DEVICE), positions)
    assert torch.equal(memory, expected_memory)
    for row, length in enumerate(lengths):
        keys, values = memory[:, row, :, :length].float().transpose(1, 2)
        weights = reference.attention_weights(q[row, None].float(), keys, width**-0.5)
        assert_near(found[row, None], torch.einsum("hqk,khd->qhd", weights, values), dtype)


@needs_gpu
def test_tokens_are_written_to_their_rows_and_others_to_none() -> None:
    memory = random_values(2, 3, 2, 9, 5)
    expected = memory.clone()
    k, v = random_values(4, 2, 2, 5).unbind(1)
    rows, positions = torch.tensor([0, -1, 2, 2]), torch.tensor([8, 4, 0, 3])
    triton.write_to_cache(memory, k, v, rows.to(DEVICE), positions.to(DEVICE))
    is_written = rows >= 0
    reference.write_to_cache(
        expected, k[is_written], v[is_written], rows[is_written].to(DEVICE), positions[is_written].to(DEVICE)
    )
    assert torch.equal(memory, expected)


@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
@pytest.mark.parametrize("is_unit", [False, True])
def test_pooling(dtype: torch.dtype, pooling: Pooling, *, is_unit: bool) -> None:
    segments, order = Segments(LENGTHS, DEVICE), [3, 0, 5, 1, 4, 2]
    x = random_values(sum(LENGTHS), 50, dtype=dtype)
    found = triton.pool(x, segments, order, pooling, 33, is_unit=is_unit)
    expected = reference.pool(x.float(), segments, order, pooling, 33, is_unit=is_unit)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tokens", [1, 60, 5000])
def test_top_tokens(dtype: torch.dtype, n_tokens: int) -> None:
    logits = random_values(5, n_tokens, dtype=dtype)
    torch.testing.assert_close(triton.top_tokens(logits), reference.top_tokens(logits), rtol=1e-5, atol=1e-5)
