"""Linear layers in whole numbers of 8 bits, on CPUs.

Shapes: `N` rows, `I` inputs, `O` outputs.
"""

import torch
from torch import Tensor, nn

_ZERO = 128
"""What a zero of the input is stored as: kernels take it without a sign, and weights with one."""
_SMALLEST = 1e-30


class Int8Linear(nn.Module):
    """x W' + b, each row of x and of W rounded to 255 steps between minus and plus its largest value.

    Every row of x has a scale of its own, measured when it comes: what a text gives does not depend on its neighbours.
    Without VNNI a processor adds products of pairs in 16 bits; there, x has 127 steps, so that they hold.

    Source: Dettmers et al. 2022, section 2.1, "vector-wise quantisation".
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(1) / 127).clamp(min=_SMALLEST)
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self.n_steps = 127 if torch.cpu._is_vnni_supported() else 63
        self.bias = linear.bias
        self.n_weights: int = rounded.numel()
        self.packed_bytes: int = rounded.numel() + 4 * scales.numel()
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._packed = torch.ops.onednn.qlinear_prepack(rounded, None)

    def forward(self, x: Tensor) -> Tensor:
        """`[…, I]` to `[…, O]`, of the type of x."""
        rows = x.flatten(0, -2).float()
        scales = (rows.abs().amax(1, keepdim=True) / self.n_steps).clamp(min=_SMALLEST)
        rounded = (rows / scales).round_().add_(_ZERO).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, _ZERO, self._packed, self._scales, self._zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )
        scales = scales.to(x.dtype)
        scaled = product * scales if self.bias is None else torch.addcmul(self.bias, product, scales)
        return scaled.view(*x.shape[:-1], len(self._scales))
