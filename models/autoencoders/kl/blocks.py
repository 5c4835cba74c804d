"""The blocks that both networks are made of.

Shapes: `B` batch, `D`, `E` widths, `H` height, `W` width of the maps, `N` positions of a map.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from models.layers.convolution import KERNEL

EPSILON = 1e-6
"""What is added to variances in normalisations."""
Activation = Callable[[], nn.Module]


class GroupNorm(nn.GroupNorm):
    """Normalisation of groups of channels. Unlike that of PyTorch, it takes maps of a single position as well.

    Source: Wu and He 2018, section 3.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Compute `[B, D, H, W]` from `[B, D, H, W]`."""
        return torch.group_norm(maps, self.num_groups, self.weight, self.bias, self.eps)


class ResidualBlock(nn.Module):
    """s(x) + f(x): f is twice a normalisation, an activation and a convolution, and s changes the width where f does.

    Source: Esser, Rombach, Ommer 2021, appendix; He et al. 2016, full pre-activation.
    """

    def __init__(self, n_in: int, n_out: int, n_groups: int, activation: Activation) -> None:
        super().__init__()
        self.norm1 = GroupNorm(n_groups, n_in, EPSILON)
        self.conv1 = nn.Conv2d(n_in, n_out, KERNEL, padding=1)
        self.norm2 = GroupNorm(n_groups, n_out, EPSILON)
        self.conv2 = nn.Conv2d(n_out, n_out, KERNEL, padding=1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        self.activation = activation()
        if isinstance(self.activation, nn.SiLU):
            self.activation.inplace = True  # the maps before it are needed no more

    def forward(self, maps: Tensor) -> Tensor:
        """Compute `[B, E, H, W]` from `[B, D, H, W]`."""
        hidden = self.conv1(self.activation(self.norm1(maps)))
        hidden = self.conv2(self.activation(self.norm2(hidden)))
        output: Tensor = hidden.add_(self.shortcut(maps))
        return output


class AttentionBlock(nn.Module):
    """x + W attention(norm(x)), in which every position attends to all others with a single head.

    Source: Vaswani et al. 2017, section 3.2.1; Esser, Rombach, Ommer 2021.
    """

    def __init__(self, width: int, n_groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(n_groups, width, EPSILON)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute `[B, D, H, W]` from `[B, D, H, W]`."""
        positions = self.norm(maps).flatten(2).transpose(1, 2)  # (B, N, D)
        q, k, v = (part[:, None] for part in self.qkv(positions).chunk(3, dim=2))  # (B, 1, N, D), a single head
        attended = self.out(scaled_dot_product_attention(q, k, v)[:, 0])
        output: Tensor = maps + attended.transpose(1, 2).reshape(maps.shape)
        return output


class Middle(nn.Module):
    """The layers at the smallest size: two residual blocks, with attention between them if the model has it."""

    def __init__(self, width: int, n_groups: int, activation: Activation, *, has_attention: bool) -> None:
        super().__init__()
        self.before = ResidualBlock(width, width, n_groups, activation)
        self.attention = AttentionBlock(width, n_groups) if has_attention else nn.Identity()
        self.after = ResidualBlock(width, width, n_groups, activation)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute `[B, D, H, W]` from `[B, D, H, W]`."""
        output: Tensor = self.after(self.attention(self.before(maps)))
        return output
