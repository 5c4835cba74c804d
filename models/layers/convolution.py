"""Convolutional networks that halve and double the sides of images of any size.

Shapes: `B` batch, `C` channels, `H` height, `W` width.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

KERNEL = 3
"""Width of the square kernels, in pixels."""


class Residual(nn.Module):
    """x + f(x), where f is two convolutions that keep the shape. Source: He et al. 2016, full pre-activation."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(n_channels, n_channels, KERNEL, padding=1),
            nn.GELU(),
            nn.Conv2d(n_channels, n_channels, KERNEL, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Compute `[B, C, H, W]` from `[B, C, H, W]`."""
        output: Tensor = images + self.branch(images)
        return output


class Downsampling(nn.Sequential):
    """Steps from `channels[0]` to `channels[-1]`: a convolution that halves the sides, residual blocks, a GELU.

    Half of an odd side is rounded up.
    """

    def __init__(self, channels: Sequence[int], n_blocks: int) -> None:
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(channels):
            layers += [
                nn.Conv2d(n_in, n_out, KERNEL, stride=2, padding=1),
                *(Residual(n_out) for _ in range(n_blocks)),
                nn.GELU(),
            ]
        super().__init__(*layers)


class Upsampling(nn.Sequential):
    """The inverse of `Downsampling` in shape: residual blocks, a GELU, a transposed convolution that doubles the sides.

    `sides` are the height and width after each step, which may be odd. There is no activation after the last step.
    """

    def __init__(self, channels: Sequence[int], sides: Sequence[tuple[int, int]], n_blocks: int) -> None:
        layers: list[nn.Module] = []
        for (n_in, n_out), (height, width) in zip(pairwise(channels), sides, strict=True):
            output_padding = (1 - height % 2, 1 - width % 2)  # the convolution alone makes 2n - 1 of n
            layers += [
                *(Residual(n_in) for _ in range(n_blocks)),
                nn.GELU(),
                nn.ConvTranspose2d(n_in, n_out, KERNEL, stride=2, padding=1, output_padding=output_padding),
            ]
        super().__init__(*layers)
