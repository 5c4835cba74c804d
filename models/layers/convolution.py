"""Convolutional stacks that halve and double an image's sides, whatever those are.

Shapes: `B` batch, `C` channels, `H` height, `W` width.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

KERNEL = 3


def halved(side: int) -> int:
    """Side of an image after one `Downsampling`: a half, rounded up."""
    return (side + 1) // 2


class Residual(nn.Module):
    """x + f(x), f two convolutions that keep the shape. Source: He et al. 2016, full pre-activation."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(n_channels, n_channels, KERNEL, padding=1),
            nn.GELU(),
            nn.Conv2d(n_channels, n_channels, KERNEL, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """`[B, C, H, W]` to the same."""
        summed: Tensor = images + self.branch(images)
        return summed


def downsampling(channels: Sequence[int], n_blocks: int) -> nn.Sequential:
    """From `channels[0]` to `channels[-1]`, each step a strided convolution that halves, then residual blocks."""
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise(channels):
        layers += [
            nn.Conv2d(c_in, c_out, KERNEL, stride=2, padding=1),
            *(Residual(c_out) for _ in range(n_blocks)),
            nn.GELU(),
        ]
    return nn.Sequential(*layers)


def upsampling(channels: Sequence[int], sides: Sequence[tuple[int, int]], n_blocks: int) -> nn.Sequential:
    """The way back: `sides` are those after each step, which odd ones need to be told.

    Each step is residual blocks, then a transposed convolution that doubles; none after the last is activated.
    """
    layers: list[nn.Module] = []
    for (c_in, c_out), (height, width) in zip(pairwise(channels), sides, strict=True):
        odd = (1 - height % 2, 1 - width % 2)  # a side of 2n needs one more than 2n - 1
        layers += [
            *(Residual(c_in) for _ in range(n_blocks)),
            nn.GELU(),
            nn.ConvTranspose2d(c_in, c_out, KERNEL, stride=2, padding=1, output_padding=odd),
        ]
    return nn.Sequential(*layers)
