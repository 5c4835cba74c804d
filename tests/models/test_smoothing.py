"""Factors that make products in int8 more exact."""

import copy
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from models import precision
from models.catalogue import family
from models.layers.block import Block
from models.layers.packed_linear import PackedLinear
from models.ops.linear import pack_linear
from models.precision import PrecisionChoice, convert
from models.smoothing import smoothing_factors
from models.text.text_model import TextModel
from models.transformers.bert.config import BertConfig

LARGE = [25.0, 12.0]


@pytest.fixture
def uneven() -> TextModel:
    """A model whose norms make two elements of all rows many times as large as the others, and of small weight."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, n_positions=64, n_token_types=2, width=64, n_layers=3, n_heads=4, inner_width=128
    )
    model = cast("TextModel", family("transformers/bert").new_model(config).eval().requires_grad_(False))
    for norm in (module for module in model.modules() if isinstance(module, nn.LayerNorm)):
        norm.weight.data[[3, 40]] = torch.tensor(LARGE)
    for block in model.modules():
        if isinstance(block, Block):
            for layer in block.layers_after_norms():
                layer.weight.data[:, [3, 40]] /= torch.tensor(LARGE) ** 2
    return model


def test_only_layers_that_read_normalised_states_have_factors(uneven: TextModel) -> None:
    factors = smoothing_factors(uneven, lambda: uneven.random_codes(4))
    names = {name for name, module in uneven.named_modules() if module in factors}
    assert names == {f"blocks.{layer}.{part}" for layer in range(3) for part in ("attention.qkv", "feedforward.0")}
    for layer, factor in factors.items():
        assert isinstance(layer, nn.Linear)
        assert factor.shape == (layer.in_features,)
        assert bool((factor > 0).all())
    for name in ("blocks.1.attention.qkv", "blocks.1.feedforward.0"):
        assert factors[uneven.get_submodule(name)].argmin() == 3  # the element that would set the scale


def test_layers_that_read_nothing_have_no_factors(uneven: TextModel) -> None:
    assert smoothing_factors(uneven, lambda: None) == {}


def test_the_hooks_are_gone_afterwards(uneven: TextModel) -> None:
    def fail() -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        smoothing_factors(uneven, fail)
    assert not any(module._forward_pre_hooks for module in uneven.modules())


def test_products_in_int8_are_nearer_to_float32_with_factors(uneven: TextModel) -> None:
    layer = cast("nn.Linear", uneven.get_submodule("blocks.1.feedforward.0"))
    inputs: list[Tensor] = []
    with torch.inference_mode():
        hook = layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
        uneven.random_codes(20)
        hook.remove()
        factors = smoothing_factors(uneven, lambda: uneven.random_codes(4))[layer]
        x = torch.cat(inputs)

        def error(factors: Tensor | None) -> float:
            packed = pack_linear(layer.weight, layer.bias, int8=True, factors=factors, dtype=torch.float32)
            return float((packed.linear(x) - layer(x)).square().mean().sqrt())

        assert error(factors) < 0.6 * error(None)


def test_layers_whose_weights_would_become_uneven_have_no_factors(uneven: TextModel) -> None:
    layer = cast("nn.Linear", uneven.get_submodule("blocks.1.feedforward.0"))
    layer.weight.data[:, 3] *= 1e6
    assert layer not in smoothing_factors(uneven, lambda: uneven.random_codes(4))


def test_a_model_is_converted_with_its_factors(uneven: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = []

    def note(*arguments: Any, factors: Tensor | None = None, **options: Any) -> PackedLinear:
        packed.append(factors)
        return PackedLinear(*arguments, factors=factors, **options)

    monkeypatch.setattr(precision, "PackedLinear", note)
    for name, n_with_factors in (("int8", 6), ("float32", 0)):
        convert(copy.deepcopy(uneven), PrecisionChoice(cast("Any", name), "for a test"))
        assert sum(factors is not None for factors in packed) == n_with_factors
        packed.clear()
