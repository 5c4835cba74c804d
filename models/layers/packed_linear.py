"""Linear layers of a model that learns no more: their weights laid out once as a kernel wants them.

On CPUs, torch's own product of float32 is that of Intel's library, which is slow on other makers' processors (decision
0011). The project's kernels do all of a layer in one pass (decision 0011); where there are none, those of oneDNN are
used.

Shapes: `N` rows, `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ops import avx512
from models.ops.avx512 import SMALLEST, ZERO, Gelu, Weights, rounded_rows

GPU_STEP = 8


class PackedLinear(nn.Module):
    """x W' + b, W `[O, I]` laid out for good; then GELU, where asked for. `[…, I]` to `[…, O]`, of the type of x."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None) -> None:
        super().__init__()
        self.n_weights: int = weight.numel()
        self.packed_bytes: int = weight.numel() * weight.element_size()
        self.bias = bias
        self.gelu = gelu


class Avx512Linear(PackedLinear):
    """By the project's kernel; in the type of W, or with W in int8."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None, *, int8: bool = False) -> None:
        super().__init__(weight, bias, gelu)
        self.weights = (Weights.rounded if int8 else Weights.of)(weight, bias, gelu)
        self.packed_bytes = self.weights.n_bytes

    def forward(self, x: Tensor) -> Tensor:
        """See `PackedLinear`."""
        if x.dim() == 2:
            return avx512.linear(x, self.weights)
        return avx512.linear(x.reshape(-1, x.shape[-1]), self.weights).view(*x.shape[:-1], self.weights.n_out)


class OneDnnLinear(PackedLinear):
    """By oneDNN, in the type of W, which x has as well."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> None:
        super().__init__(weight, bias, gelu)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self._after: tuple[str, list[float], str] = ("none", [], "") if gelu is None else ("gelu", [], gelu)

    def forward(self, x: Tensor) -> Tensor:
        """See `PackedLinear`."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self.bias, *self._after)
        return product


class OneDnnInt8Linear(PackedLinear):
    """By oneDNN, as `avx512.linear` does it in int8.

    Without VNNI a processor adds products of pairs in 16 bits; there, x has 127 steps, so that they hold.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> None:
        super().__init__(weight, bias, gelu)
        rounded, scales = rounded_rows(weight)
        self.n_steps = 127 if torch.cpu._is_vnni_supported() else 63
        self.packed_bytes = rounded.numel() + 4 * scales.numel()
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)

    def forward(self, x: Tensor) -> Tensor:
        """See `PackedLinear`."""
        rows = x.flatten(0, -2).float()
        scales = (rows.abs().amax(1, keepdim=True) / self.n_steps).clamp(min=SMALLEST)
        rounded = (rows / scales).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(ZERO)  # as adding it, faster
        product = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, ZERO, self._weight, self._scales, self._zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )
        scales = scales.to(x.dtype)
        scaled = product * scales if self.bias is None else torch.addcmul(self.bias, product, scales)
        scaled = scaled.view(*x.shape[:-1], len(self._scales))
        return scaled if self.gelu is None else functional.gelu(scaled, approximate=self.gelu)


class PaddedLinear(PackedLinear):
    """By torch on a GPU, whose fast kernels want a number of outputs that is a multiple of eight: zeros are added."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> None:
        super().__init__(weight, bias, gelu)
        self._n_out, n_more = len(weight), -len(weight) % GPU_STEP
        self._weight = functional.pad(weight.detach(), (0, 0, 0, n_more)) if n_more else weight.detach()
        self.bias = None if bias is None else functional.pad(bias.detach(), (0, n_more))
        self.packed_bytes = self._weight.nbytes if n_more else 0

    def forward(self, x: Tensor) -> Tensor:
        """See `PackedLinear`."""
        out = functional.linear(x, self._weight, self.bias)[..., : self._n_out]
        return out if self.gelu is None else functional.gelu(out, approximate=self.gelu)


def product(
    weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None, *, int8: bool = False, dtype: torch.dtype
) -> PackedLinear:
    """The fastest for values of this type where the weight is."""
    if weight.is_cuda:
        return PaddedLinear(weight, bias, gelu)
    if avx512.is_fastest_for(torch.int8 if int8 else weight.dtype, dtype):
        return Avx512Linear(weight, bias, gelu, int8=int8)
    return OneDnnInt8Linear(weight, bias, gelu) if int8 else OneDnnLinear(weight, bias, gelu)


def pack_linears(module: nn.Module, dtype: torch.dtype, *, int8: bool = False) -> None:
    """Replace all linear layers below, for good, by products for values of a type; a GELU that follows becomes part."""
    children = list(module.named_children())
    for (name, child), (next_name, following) in zip(children, [*children[1:], ("", None)], strict=False):
        if not isinstance(child, nn.Linear):
            pack_linears(child, dtype, int8=int8)
        elif isinstance(module, nn.Sequential) and isinstance(following, nn.GELU):
            gelu: Gelu = "tanh" if following.approximate == "tanh" else "none"
            setattr(module, name, product(child.weight, child.bias, gelu, int8=int8, dtype=dtype))
            setattr(module, next_name, nn.Identity())
        else:
            setattr(module, name, product(child.weight, child.bias, int8=int8, dtype=dtype))
