"""Blocks in one call of a kernel, sublayer by sublayer, and with sums and norms in one operation."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from models.layers.block import Block, BlockShape
from models.ops import avx512, blocks, reference, triton
from models.ops.attention import attend_in_context
from models.ops.blocks import transformer_blocks
from models.ops.cache import CachedRows
from models.ops.patterns import AttentionContext, KernelAttention
from models.ops.segments import Segments
from models.precision import pack_linears
from models.text.attention_patterns import AcrossTexts, WithinTexts
from tests.models.ops.kernels import DTYPES, needs_kernels

WIDTH, N_HEADS = 48, 3


def new_block(
    dtype: torch.dtype, activation: str, *, pre_norm: bool, int8: bool = False, has_cross_attention: bool = False
) -> Block:
    torch.manual_seed(0)
    shape = BlockShape(
        width=WIDTH, n_heads=N_HEADS, inner_width=100, activation=activation, norm_eps=1e-5, pre_norm=pre_norm
    )
    block = Block(shape, has_cross_attention=has_cross_attention).eval().requires_grad_(requires_grad=False)
    for norm in block.modules():
        if isinstance(norm, nn.LayerNorm):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    pack_linears(block.to(dtype), dtype, int8=int8)
    return block


class CachePattern(KernelAttention):
    """One token of each row attends to a cache of random tokens."""

    def __init__(self, lengths: Sequence[int], dtype: torch.dtype) -> None:
        torch.manual_seed(1)
        self.memory = torch.randn(2, len(lengths), N_HEADS, 30, WIDTH // N_HEADS).to(dtype)
        self.rows = CachedRows(lengths, self.memory, has_kernels=True)

    def context(self, layer: int) -> AttentionContext:
        return self.rows.context(self.memory)


class SelfCachePattern(CachePattern):
    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        return self.rows.attend(q, (k, v), self.memory, scale)


class CrossCachePattern(CachePattern):
    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        return self.rows.attend(q, None, self.memory, scale)


class PromptPattern(KernelAttention):
    """Parts of prompts become the last tokens of the rows of a cache of random tokens, and attend to these."""

    def __init__(self, segments: Segments, starts: Sequence[int], dtype: torch.dtype) -> None:
        torch.manual_seed(1)
        self.memory = torch.randn(2, len(segments), N_HEADS, 80, WIDTH // N_HEADS).to(dtype)
        self._segments = segments
        self._lengths = torch.tensor([sum(part) for part in zip(starts, segments.lengths, strict=True)])

    def context(self, layer: int) -> AttentionContext:
        return AttentionContext.of_prompt_parts(self._segments, self.memory, self._lengths)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        return attend_in_context(q, (k, v), self.context(layer), scale)


def all_outputs(block: Block, cross_block: Block, x: Tensor) -> list[Tensor]:
    """Run blocks within texts, over caches and across, and return the outputs and what is in the caches then."""
    segments = Segments([50, 1, 48])
    within = [transformer_blocks([block, block], x, WithinTexts(segments, causal=causal)) for causal in (False, True)]
    own, prompt = SelfCachePattern([5] * 99, x.dtype), PromptPattern(segments, [4, 2, 0], x.dtype)
    cached = transformer_blocks([block], x, own), transformer_blocks([block], x, prompt)
    other = CrossCachePattern([1 + row % 20 for row in range(99)], x.dtype)
    across = transformer_blocks([cross_block], x, SelfCachePattern([5] * 99, x.dtype), other)
    return [*within, *cached, across, own.memory, prompt.memory]


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("int8", [False, True])
def test_one_call_equals_sublayer_by_sublayer(
    dtype: torch.dtype, activation: str, *, pre_norm: bool, int8: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not avx512.is_fastest_for(torch.int8 if int8 else dtype, dtype):
        pytest.skip("this processor has tiles (AMX), which multiply such values faster than these kernels")
    block, cross_block = (
        new_block(dtype, activation, pre_norm=pre_norm, int8=int8, has_cross_attention=has) for has in (False, True)
    )
    x = torch.randn(99, WIDTH).to(dtype)
    with torch.inference_mode():
        assert avx512.pack_blocks([block, cross_block], dtype, has_cross_attention=True) is not None
        found = all_outputs(block, cross_block, x)
        monkeypatch.setattr(avx512, "pack_blocks", lambda *_, **__: None)
        expected = all_outputs(block, cross_block, x)
    for output, other in zip(found, expected, strict=True):
        difference = (output.float() - other.float()).abs()
        assert difference.mean() < (1e-5 if dtype == torch.float32 and not int8 else 2e-2)


@needs_kernels
def test_blocks_are_packed_again_when_their_dtype_changes() -> None:
    def packed(block: Block, dtype: torch.dtype) -> list[avx512.PackedBlock] | None:
        return avx512.pack_blocks([block], dtype, has_cross_attention=False)

    block = new_block(torch.float32, "gelu", pre_norm=False)
    before = packed(block, torch.float32)
    assert before is not None
    assert packed(block, torch.float32) == before
    block.to(torch.bfloat16)
    assert packed(block, torch.float32) is None
    block.to(torch.float32)
    assert packed(block, torch.float32) not in (before, None)


@needs_kernels
def test_kernels_do_not_run_what_they_cannot() -> None:
    relu = new_block(torch.float32, "relu", pre_norm=False)
    assert avx512.pack_blocks([relu], torch.float32, has_cross_attention=False) is None
    crossing = new_block(torch.float32, "gelu", pre_norm=False, has_cross_attention=True)
    assert avx512.pack_blocks([crossing], torch.float32, has_cross_attention=False) is None


def test_sums_and_norms_in_one_operation_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on GPUs: sums are carried from one block to the next."""
    sums: list[Tensor] = []

    def noted(x: Tensor, added: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
        sums.append(x)
        return reference.sum_and_norm(x, added, norm)

    block = new_block(torch.float32, "relu", pre_norm=True, has_cross_attention=True)
    x, segments, others = torch.randn(9, WIDTH), Segments([4, 5]), Segments([3, 2])
    keys_values = [tuple(torch.randn(2, 5, N_HEADS, WIDTH // N_HEADS).unbind())] * 2
    patterns = WithinTexts(segments), AcrossTexts(segments, others, keys_values)  # type: ignore[arg-type]
    with torch.inference_mode():
        expected = transformer_blocks([block, block], x, *patterns)
        monkeypatch.setattr(triton, "supports_rows", lambda _: True)
        monkeypatch.setattr(blocks, "sum_and_norm", noted)
        found = transformer_blocks([block, block], x, *patterns)
    assert torch.equal(found, expected)
    assert len(sums) == 2 * 3 - 1
