"""Blocks and what they keep of their weights."""

import copy

import pytest
import torch
from torch import Tensor, nn

from models.layers.block import Block, BlockShape
from models.ops.segments import Segments
from models.text.attention_patterns import AcrossTexts, WithinTexts

SLOTS = ("attention", "cross_attention", "feedforward")


def new_block(*, pre_norm: bool, has_cross_attention: bool) -> Block:
    shape = BlockShape(width=12, n_heads=3, inner_width=20, activation="relu", norm_eps=1e-5, pre_norm=pre_norm)
    return Block(shape, has_cross_attention=has_cross_attention).eval()


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("has_cross_attention", [False, True])
def test_each_sublayer_has_one_norm_before_or_after_it(*, pre_norm: bool, has_cross_attention: bool) -> None:
    block = new_block(pre_norm=pre_norm, has_cross_attention=has_cross_attention)
    for slot in SLOTS:
        used, unused = ("input_norm", "residual_norm") if pre_norm else ("residual_norm", "input_norm")
        has_norm = has_cross_attention or slot != "cross_attention"
        expected = nn.LayerNorm if has_norm else nn.Identity
        assert isinstance(getattr(block, f"{slot}_{used}"), expected)
        assert isinstance(getattr(block, f"{slot}_{unused}"), nn.Identity)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_block_is_the_sum_of_its_sublayers(*, pre_norm: bool) -> None:
    """By the equations of Vaswani et al. 2017, section 3.1, and Radford et al. 2019, section 2.3."""
    torch.manual_seed(0)
    block = new_block(pre_norm=pre_norm, has_cross_attention=True)
    segments, others = Segments([4, 5]), Segments([3, 2])
    attention, x, memory = WithinTexts(segments), torch.randn(9, 12), torch.randn(5, 12)
    cross_layer = block.cross_attention
    assert cross_layer is not None
    across = AcrossTexts(segments, others, [cross_layer.keys_values(memory)])
    norm_kind = "input_norm" if pre_norm else "residual_norm"

    def residual(x: Tensor, slot: str, *arguments: object) -> Tensor:
        layer, norm = getattr(block, slot), getattr(block, f"{slot}_{norm_kind}")
        output: Tensor = x + layer(norm(x), *arguments) if pre_norm else norm(x + layer(x, *arguments))
        return output

    expected = residual(x, "attention", attention, 0)
    expected = residual(expected, "cross_attention", across, 0)
    expected = residual(expected, "feedforward")
    torch.testing.assert_close(block(x, attention, 0, across), expected)


def test_what_is_derived_from_weights_is_computed_again_when_they_move() -> None:
    block = new_block(pre_norm=False, has_cross_attention=False)

    def total(block: Block) -> Tensor:
        return block.attention.qkv.weight.sum()

    first = block.derived(total)
    assert block.derived(total) is first
    block.double()
    assert block.derived(total).dtype == torch.float64


def test_a_copy_derives_from_its_own_weights() -> None:
    block = new_block(pre_norm=False, has_cross_attention=False)
    block.derived(id)
    assert copy.deepcopy(block).derived(id) != id(block)
