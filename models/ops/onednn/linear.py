"""Packed weights for the products of oneDNN. Only private functions of torch offer these; all of them are used here.

Shapes: `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.linear_weights import MIN_SCALE, Gelu, quantise_rows


def supports_weights(dtype: torch.dtype) -> bool:
    """Return whether there are products with weights of a dtype."""
    if dtype == torch.int8:
        return True
    if dtype == torch.float16 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class FloatWeights:
    """A weight `[O, I]` and bias `[O]`, for inputs of the same dtype."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self._bias = None if bias is None else bias.detach()
        self._gelu: tuple[str, list[float], str] = ("none", [], "") if gelu is None else ("gelu", [], gelu)
        self.n_bytes = weight.nbytes

    def linear(self, x: Tensor) -> Tensor:
        """Return x W' + b, then GELU: `[…, I]` to `[…, O]` of the dtype of x."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, *self._gelu)
        return product


class Int8Weights:
    """A weight `[O, I]` in int8 and bias `[O]`, for inputs of `dtype`, each row of which is rounded to int8 as well.

    Processors without VNNI add products of pairs in 16 bits. So that they fit, inputs have half as many steps there,
    and as unsigned numbers they are at most 127.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None, *, dtype: torch.dtype) -> None:
        quantised, scales = quantise_rows(weight)
        self.max_input = 127 if torch.cpu._is_vnni_supported() else 63
        self._zero_point = self.max_input + 1
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._weight = torch.ops.onednn.qlinear_prepack(quantised, None)
        self._bias = None if bias is None else bias.detach().to(dtype)
        self._gelu = gelu
        self.n_bytes = quantised.nbytes + scales.nbytes

    def linear(self, x: Tensor) -> Tensor:
        """Return x W' + b, then GELU: `[…, I]` to `[…, O]` of the dtype of x."""
        rows = x.flatten(0, -2).float()
        scales = (rows.abs().amax(1, keepdim=True) / self.max_input).clamp(min=MIN_SCALE)
        steps = (rows / scales).round_().to(torch.int8)
        unsigned = steps.view(torch.uint8).add_(self._zero_point)  # wraps around, so that negative steps are right too
        product = torch.ops.onednn.qlinear_pointwise(
            unsigned,
            1.0,
            self._zero_point,
            self._weight,
            self._scales,
            self._zeros,
            None,
            1.0,
            0,
            x.dtype,
            "none",
            [],
            "",
        )
        scales = scales.to(x.dtype)
        scaled = product * scales if self._bias is None else torch.addcmul(self._bias, product, scales)
        scaled = scaled.view(*x.shape[:-1], len(self._scales))
        return scaled if self._gelu is None else functional.gelu(scaled, approximate=self._gelu)
