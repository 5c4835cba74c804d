"""Linear layers of models that are not trained any more, with weights in the layout that is fastest.

On CPUs, torch multiplies float32 by Intel's library, which is slow on the processors of other makers (decision 0011).

Shapes: `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor

from models.ops import avx512, cublas, onednn
from models.ops.linear_weights import Gelu, LinearWeights


def pack_linear(
    weight: Tensor,
    bias: Tensor | None,
    gelu: Gelu | None = None,
    *,
    int8: bool = False,
    factors: Tensor | None = None,
    dtype: torch.dtype,
) -> LinearWeights:
    """Pack the weight `[O, I]` and bias `[O]` of a linear layer for the fastest product with inputs of a dtype.

    A GELU that follows becomes part of the product. With `int8`, weights and inputs are rounded to 255 steps, once the
    inputs are multiplied by `factors` `[I]`, and the weights divided by them, if there are any.
    """
    if weight.is_cuda:
        return cublas.PaddedWeights(weight, bias, gelu)
    if avx512.is_fastest_for(torch.int8 if int8 else weight.dtype, dtype):
        return avx512.PanelWeights(weight, bias, gelu, int8=int8, factors=factors)
    if int8:
        return onednn.Int8Weights(weight, bias, gelu, factors=factors, dtype=dtype)
    return onednn.FloatWeights(weight, bias, gelu)


def can_pack(weights: torch.dtype, device: torch.device) -> bool:
    """Return whether linear layers with weights of a dtype, on a device, can be packed."""
    return device.type == "cuda" or onednn.supports_weights(weights)


def has_project_kernels(weight: Tensor) -> bool:
    """Return whether the project's own kernels multiply inputs by such a weight, of the same dtype."""
    dtype = weight.dtype
    return weight.is_cpu and avx512.is_fastest_for(dtype, dtype)
