"""Relative positions: what two tokens are to each other depends on how far apart they are.

Shapes: `T` tokens of a text, `H` heads.
"""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override


class RelativePositionBias(nn.Module):
    """A trained number for each head and each distance of a key from a query, which is added to their score.

    Distances share their numbers in `n_buckets` buckets. One half of these is for keys after the query, the other for
    the query itself and for keys before it. In each half, the first buckets are for a single distance each, and the
    others for ranges that widen with the logarithm of the distance, up to `max_distance`; the last one is for all
    distances beyond.

    Source: Raffel et al. 2020, section 2.1.
    """

    def __init__(self, n_buckets: int, max_distance: int, n_heads: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.buckets = nn.Embedding(n_buckets, n_heads)

    @override
    def forward(self, length: int) -> Tensor:
        """Return the numbers of a text of `length` tokens: `[H, T, T]` in the dtype of the weights, queries by keys."""
        distances = torch.arange(1 - length, length, device=self.buckets.weight.device)
        by_distance = self.buckets(self.buckets_of(distances)).T
        rows: Tensor = by_distance.unfold(1, length, 1)  # one for each query, from the last on
        return rows.flip(1)

    def buckets_of(self, distances: Tensor) -> Tensor:
        """Return the bucket of each distance, the place of the key minus that of the query: int64 of any shape."""
        n_of_half = self.buckets.num_embeddings // 2
        n_exact = n_of_half // 2
        lengths = distances.abs()
        share = (lengths.clamp(min=1).float() / n_exact).log() / math.log(self.max_distance / n_exact)
        wide = (n_exact + (share * (n_of_half - n_exact)).long()).clamp(max=n_of_half - 1)
        return torch.where(lengths < n_exact, lengths, wide) + n_of_half * (distances > 0)
