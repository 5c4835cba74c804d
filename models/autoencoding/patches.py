"""How far the most unusual patch of a picture is from those at the same place in similar pictures.

Shapes: `B` pictures, `K` similar pictures of each, `C` channels, `H` height, `W` width, `S` shifts.
"""

import torch
from torch import Tensor
from torch.nn import functional

PATCH_SIDE = 5
"""Pixels of a side of a patch."""
MAX_SHIFT = 1
"""Pixels by which a patch may lie elsewhere in a similar picture, in each direction."""
N_SHIFTS = (2 * MAX_SHIFT + 1) ** 2


def patch_contributions(pictures: Tensor, similar: Tensor) -> Tensor:
    """Return the contributions of the pixels of `[B, C, H, W]` to the patch score, `[B, C H W]`.

    `similar` are the pictures that each is compared with, `[B, K, C, H, W]`. The distance of a patch is the root of the
    mean squared difference from the patch that is nearest to it, among those at the same place, or a pixel beside it,
    in the similar pictures. The score of a picture is the distance of its most distant patch, whose pixels contribute
    their shares of the squared difference; all others contribute 0.

    Source: after Cohen and Hoshen 2020, sections 3.2 and 3.3, with pixels in place of features.
    """
    n_pictures, n_similar, _, height, width = similar.shape
    padded = functional.pad(similar.flatten(0, 1), (MAX_SHIFT,) * 4, mode="replicate")
    offsets = range(2 * MAX_SHIFT + 1)
    shifted = torch.stack([padded[..., y : y + height, x : x + width] for y in offsets for x in offsets], 1)
    squares = (shifted.view(n_pictures, n_similar * N_SHIFTS, *pictures.shape[1:]) - pictures[:, None]).square()
    distances, nearest = functional.avg_pool2d(squares.mean(2), PATCH_SIDE, stride=1).min(1)  # [B, H', W']
    greatest, place = distances.flatten(1).max(1)  # [B]
    chosen = squares[torch.arange(n_pictures), nearest.flatten(1).gather(1, place[:, None])[:, 0]]  # [B, C, H, W]
    n_columns = distances.shape[2]
    in_rows, in_columns = _is_in_patch(height, place // n_columns), _is_in_patch(width, place % n_columns)
    parts = (chosen * (in_rows[:, :, None] & in_columns[:, None])[:, None]).flatten(1)
    scores = greatest.sqrt()
    return parts * (scores / parts.sum(1).clamp(min=torch.finfo(parts.dtype).tiny))[:, None]


def _is_in_patch(size: int, first: Tensor) -> Tensor:
    """Return which of the `size` rows or columns belong to the patch that begins at `first` `[B]`: `[B, size]`."""
    places = torch.arange(size, device=first.device)
    return (places >= first[:, None]) & (places < first[:, None] + PATCH_SIDE)
