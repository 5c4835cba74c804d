"""ONNX files of a linear encoder and a decoder of the same weights as modules of torch."""

from collections.abc import Sequence

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SHAPE, WIDTH = (1, 4, 4), 3
N_WEIGHTS = 2 * 16 * WIDTH + WIDTH + 16


def networks(seed: int = 0) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder of items `[1, 4, 4]` to latents `[3]`, and a decoder back to numbers in [0, 1]."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, WIDTH))
    decoder = nn.Sequential(nn.Linear(WIDTH, 16), nn.Sigmoid(), nn.Unflatten(1, SHAPE))
    return encoder.eval().requires_grad_(False), decoder.eval().requires_grad_(False)


def _initializers(layer: nn.Module) -> list[TensorProto]:
    return [numpy_helper.from_array(weight.numpy(), name) for name, weight in layer.state_dict().items()]


def value(name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def encoder_model(encoder: nn.Sequential, batch: int | str = "batch") -> onnx.ModelProto:
    nodes = [
        helper.make_node("Flatten", ["item"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["latent"], transB=1),
    ]
    values = [value("item", [batch, *SHAPE])], [value("latent", [batch, WIDTH])]
    return model_of(helper.make_graph(nodes, "encoder", *values, _initializers(encoder[1])))


def decoder_model(decoder: nn.Sequential, shape: Sequence[int] = SHAPE) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gemm", ["latent", "weight", "bias"], ["flat"], transB=1),
        helper.make_node("Sigmoid", ["flat"], ["squashed"]),
        helper.make_node("Reshape", ["squashed", "shape"], ["item"]),
    ]
    initializers = [
        *_initializers(decoder[0]),
        helper.make_tensor("shape", TensorProto.INT64, [1 + len(shape)], [-1, *shape]),
    ]
    values = [value("latent", ["batch", WIDTH])], [value("item", ["batch", *shape])]
    return model_of(helper.make_graph(nodes, "decoder", *values, initializers))
