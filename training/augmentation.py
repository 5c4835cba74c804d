"""Random geometric augmentation of images. Shapes: `B` batch, `C` channels, `H` height, `W` width."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def random_affine(
    images: Tensor,
    generator: torch.Generator,
    *,
    max_rotation_deg: float,
    max_scale: float,
    max_shear: float,
    max_shift_px: float,
) -> Tensor:
    """Rotate, scale, shear and shift each image of `[B, C, H, W]` at random, with bilinear interpolation.

    Each image gets its own draws, uniform between minus and plus the given maxima. Pixels from outside the image are 0.
    """
    n = len(images)
    draws = torch.rand(5, n, generator=generator).mul(2).sub(1).to(images.device)  # each in [-1, 1]
    angle, scale, shear = draws[0] * math.radians(max_rotation_deg), 1 + draws[1] * max_scale, draws[2] * max_shear
    shift_x, shift_y = draws[3] * max_shift_px * 2 / images.shape[3], draws[4] * max_shift_px * 2 / images.shape[2]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrices = torch.stack([cos, shear - sin, shift_x, sin, cos, shift_y], dim=1).view(n, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
