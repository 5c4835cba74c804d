"""Residual vector quantisation: each codebook approximates what those before it have left of a vector.

Shapes: `B` batch, `D` width of a vector, `F` frames, `K` codebooks in use, `N` vectors of a codebook.
"""

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.encodec.config import EncodecConfig


class ResidualQuantiser(nn.Module):
    """The codebooks, of which a bandwidth uses the first ones.

    Source: Zeghidour et al. 2021, SoundStream, section III-C; Defossez et al. 2022, section 3.2.

    Attributes:
        codebooks: the vectors of each codebook, `[N, D]`.
    """

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        shape = config.codebook_size, config.latent_width
        self.codebooks = nn.ParameterList(nn.Parameter(torch.empty(shape)) for _ in range(config.n_codebooks))
        for codebook in self.codebooks:
            nn.init.normal_(codebook)

    def encode(self, frames: Tensor, n_codebooks: int) -> Tensor:
        """Map frames `[B, D, F]` to the indices of the nearest vectors, `[B, K, F]` in int64."""
        residual = frames.transpose(1, 2)  # (B, F, D)
        indices = []
        for codebook in islice(self.codebooks, n_codebooks):
            nearest = self._nearest(residual.flatten(0, 1), codebook).view(residual.shape[:2])
            residual = residual - functional.embedding(nearest, codebook)
            indices.append(nearest)
        return torch.stack(indices, 1)

    def decode(self, indices: Tensor) -> Tensor:
        """Map indices `[B, K, F]` to the sums of their vectors, `[B, D, F]`."""
        total = torch.zeros((), dtype=self.codebooks[0].dtype, device=indices.device)
        for own, codebook in zip(indices.unbind(1), self.codebooks, strict=False):
            total = total + functional.embedding(own, codebook)
        return total.transpose(1, 2)

    def _nearest(self, vectors: Tensor, codebook: Tensor) -> Tensor:
        """Return the index of the codebook's vector that is nearest to each of `[n, D]`.

        The squared distance is |v|^2 - 2 v.c + |c|^2, in the order in which the published models compute it, because
        the rounding decides between vectors that are about as far.
        """
        products = 2 * vectors @ codebook.t()
        distances = vectors.pow(2).sum(1, keepdim=True) - products + codebook.t().pow(2).sum(0, keepdim=True)
        return distances.min(1).indices
