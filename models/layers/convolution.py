"""Convolutional networks that halve and double the sides of images of any size.

Shapes: `B` batch, `C` channels, `H` height, `W` width.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

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


class Doubling(nn.Sequential):
    """A convolution of maps whose sides are doubled first: each position becomes four equal ones.

    Of the three rows of a kernel, two lie on one row of the smaller maps, and so do two of its columns. Their weights
    are added up, which makes four kernels of 2x2, one for each of the four positions, and 4 of 9 products remain. The
    result is the same up to rounding.
    """

    def __init__(self, n_channels: int, *, bias: bool = True) -> None:
        super().__init__(nn.Upsample(scale_factor=2.0), nn.Conv2d(n_channels, n_channels, KERNEL, padding=1, bias=bias))

    @property
    def convolution(self) -> nn.Conv2d:
        """The convolution of the doubled maps."""
        convolution: nn.Conv2d = self[1]  # type: ignore[assignment] # since it is a module
        return convolution

    @override
    def forward(self, input: Tensor) -> Tensor:
        """Compute `[B, C, 2 H, 2 W]` from `[B, C, H, W]`."""
        (n, n_channels, height, width), bias = input.shape, self.convolution.bias
        of_position = functional.conv2d(
            input, self._kernels(), None if bias is None else bias.repeat(4), padding=1
        )  # (B, 4 C, H + 1, W + 1)
        is_last = input.is_contiguous(memory_format=torch.channels_last)
        memory_format = torch.channels_last if is_last else torch.contiguous_format
        doubled = torch.empty(
            (n, n_channels, 2 * height, 2 * width),
            dtype=of_position.dtype,
            device=of_position.device,
            memory_format=memory_format,
        )
        for place, own in enumerate(of_position.chunk(4, 1)):
            y, x = divmod(place, 2)
            doubled[:, :, y::2, x::2] = own[:, :, y : y + height, x : x + width]
        return doubled

    def _kernels(self) -> Tensor:
        """Return the kernels `[4 C, C, 2, 2]` of the smaller maps."""
        weight = self.convolution.weight
        rows = torch.stack([self._added_up(weight, 2, place) for place in (0, 1)])  # (2, C, C, 2, 3)
        both = torch.stack([self._added_up(rows, 4, place) for place in (0, 1)], 1)  # (2, 2, C, C, 2, 2)
        return both.flatten(0, 2)

    @staticmethod
    def _added_up(kernels: Tensor, axis: int, place: int) -> Tensor:
        """Return kernels of two rows in place of three, for the first or the second of two equal rows."""
        first, middle, last = kernels.unbind(axis)
        return torch.stack([first, middle + last] if place == 0 else [first + middle, last], axis)


class Downsampling(nn.Sequential):
    """Steps from `channels[0]` to `channels[-1]`: a convolution that halves the sides, residual blocks, a GELU.

    A side of n pixels has (n + 1) // 2 after a step.
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
