"""Activations, by their names in published configurations."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


class ClippedGelu(nn.Module):
    """GELU limited to [-10, 10]. Source: Wu et al. 2020, "Integer Quantization for Deep Learning Inference"."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(x).clip(-10, 10)


class QuickGelu(nn.Module):
    """x sigmoid(1.702 x). Source: Hendrycks and Gimpel 2016, section 2."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class SquaredRelu(nn.Module):
    """max(x, 0)². Source: So et al. 2021, section 3."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x).square()


class Laplace(nn.Module):
    """The distribution function of N(0.707107, 0.282095²). Source: Ma et al. 2023, equation 15."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (1 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2))))


class SqrtSoftplus(nn.Module):
    """sqrt(log(1 + e^x))."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return functional.softplus(x).sqrt()


_GELU_TANH = partial(nn.GELU, "tanh")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_python": nn.GELU,
    "gelu_new": _GELU_TANH,
    "gelu_fast": _GELU_TANH,
    "gelu_accurate": _GELU_TANH,
    "gelu_pytorch_tanh": _GELU_TANH,
    "gelu_python_tanh": _GELU_TANH,
    "gelu_10": ClippedGelu,
    "quick_gelu": QuickGelu,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "relu2": SquaredRelu,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "laplace": Laplace,
    "sqrtsoftplus": SqrtSoftplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}
"""Activations without parameters, by the names that the library transformers gives them. Several mean the same."""
