"""Packed weights for the products of oneDNN. Only private functions of torch offer these; all of them are used here.

Shapes: `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.linear_weights import MIN_SCALE, Gelu, quantise_rows

SIGN_BIT = 128
"""The bit of an int8 that is its sign. As a uint8, an int8 is larger by this, modulo 256."""


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
    """A weight `[O, I]` in int8 and bias `[O]`, for inputs of `dtype`, each row of which is rounded to 8 bits as well.

    A row is rounded to numbers from 0 on, with a scale and a zero point of its own, because rows that GELU has made are
    hardly ever negative. Inputs are multiplied by `factors` `[I]` before, if there are any.

    Processors without VNNI add products of pairs in 16 bits. So that they fit, inputs have half as many steps there.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        gelu: Gelu | None = None,
        *,
        factors: Tensor | None = None,
        dtype: torch.dtype,
    ) -> None:
        quantised, scales = quantise_rows(weight, factors)
        self.max_input = 255 if torch.cpu._is_vnni_supported() else 127
        self._factors = None if factors is None else factors.float()
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._weight = torch.ops.onednn.qlinear_prepack(quantised, None)
        self._scaled_sums = quantised.sum(1, dtype=torch.int32) * scales
        self._bias = None if bias is None else bias.detach().float()
        self._gelu, self._dtype = gelu, dtype
        self.n_bytes = quantised.nbytes + 2 * scales.nbytes

    def linear(self, x: Tensor) -> Tensor:
        """Return x W' + b, then GELU: `[…, I]` to `[…, O]` of the dtype of x."""
        rows = x.flatten(0, -2).float()
        if self._factors is not None:
            rows = rows * self._factors
        low, high = rows.amin(1, keepdim=True).clamp_(max=0), rows.amax(1, keepdim=True).clamp_(min=0)
        scales = ((high - low) / (self.max_input - 1)).clamp_(min=MIN_SCALE)
        inverse = scales.reciprocal()
        zero_points = (-low * inverse).ceil_()  # so that all numbers are from 0 to the largest
        steps = (rows * inverse).add_(zero_points - SIGN_BIT).round_()
        unsigned = steps.to(torch.int8).view(torch.uint8).add_(SIGN_BIT)  # torch converts to int8 faster than to uint8
        product = torch.ops.onednn.qlinear_pointwise(
            unsigned,
            1.0,
            0,
            self._weight,
            self._scales,
            self._zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        product.addcmul_(zero_points, self._scaled_sums, value=-1)  # what the zero points add to the product
        scaled = product * scales if self._bias is None else torch.addcmul(self._bias, product, scales)
        scaled = scaled.to(self._dtype).view(*x.shape[:-1], len(self._scales))
        return scaled if self._gelu is None else functional.gelu(scaled, approximate=self._gelu)
