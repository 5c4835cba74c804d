"""Linear layers of a model that learns no more, on CPUs: their weights laid out once as the kernel wants them.

torch's own product of float32 is that of Intel's library, which is slow on other makers' processors. oneDNN's is fast
on both, and faster still with weights that need not be laid out anew at each product (docs/decisions/0016).

Shapes: `N` rows, `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor, nn

_ZERO = 128
"""What a zero of the input is stored as: kernels take it without a sign, and weights with one."""
_SMALLEST = 1e-30


class Product(nn.Module):
    """x W' + b, W `[O, I]` laid out for good."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.n_weights: int = weight.numel()
        self.packed_bytes: int = weight.numel() * weight.element_size()
        self.bias = bias


class FloatProduct(Product):
    """In the type of W, which x has as well; then GELU, exact or by its tanh, where asked for."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: str | None = None) -> None:
        super().__init__(weight, bias)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self._after: tuple[str, list[float], str] = ("none", [], "") if gelu is None else ("gelu", [], gelu)

    def forward(self, x: Tensor) -> Tensor:
        """`[…, I]` to `[…, O]`."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self.bias, *self._after)
        return product


class Int8Product(Product):
    """Each row of x and of W rounded to 255 steps between minus and plus its largest value.

    Every row of x has a scale of its own, measured when it comes: what a text gives does not depend on its neighbours.
    Without VNNI a processor adds products of pairs in 16 bits; there, x has 127 steps, so that they hold.

    Source: Dettmers et al. 2022, section 2.1, "vector-wise quantisation".
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        weight = weight.detach().float()
        scales = (weight.abs().amax(1) / 127).clamp(min=_SMALLEST)
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self.n_steps = 127 if torch.cpu._is_vnni_supported() else 63
        self.packed_bytes = rounded.numel() + 4 * scales.numel()
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)

    def forward(self, x: Tensor) -> Tensor:
        """`[…, I]` to `[…, O]`, of the type of x."""
        rows = x.flatten(0, -2).float()
        scales = (rows.abs().amax(1, keepdim=True) / self.n_steps).clamp(min=_SMALLEST)
        rounded = (rows / scales).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO)  # as adding it, faster
        product = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, _ZERO, self._weight, self._scales, self._zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )
        scales = scales.to(x.dtype)
        scaled = product * scales if self.bias is None else torch.addcmul(self.bias, product, scales)
        return scaled.view(*x.shape[:-1], len(self._scales))


def lay_out(module: nn.Module, *, int8: bool = False) -> None:
    """Replace all linear layers below, for good; a GELU that follows one becomes part of it."""
    children = list(module.named_children())
    for (name, child), (next_name, following) in zip(children, [*children[1:], ("", None)], strict=False):
        if not isinstance(child, nn.Linear):
            lay_out(child, int8=int8)
        elif int8:
            setattr(module, name, Int8Product(child.weight, child.bias))
        elif isinstance(module, nn.Sequential) and isinstance(following, nn.GELU):
            setattr(module, name, FloatProduct(child.weight, child.bias, following.approximate))
            setattr(module, next_name, nn.Identity())
        else:
            setattr(module, name, FloatProduct(child.weight, child.bias))
