"""How the codebooks of a residual quantiser are trained: by moving averages of the vectors that they stand for.

Shapes: `B` sounds, `D` width of a vector, `F` frames, `K` codebooks, `N` vectors of each, `n` vectors of a sample.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.quantiser import ResidualQuantiser

DECAY = 0.99
"""Share of a moving average that a step keeps."""
MIN_SHARE = 0.1
"""Share of the mean use of a codebook's vectors below which a vector is replaced."""
N_MEANS_ITERATIONS = 10


class CodebookAverages(nn.Module):
    """The moving averages of the vectors that each vector of a codebook stands for, and of their number.

    A vector becomes the mean of what it stands for. One that hardly stands for any is replaced by a vector drawn from
    the batch.

    Source: van den Oord et al. 2017, appendix A.1; Zeghidour et al. 2021, section III-C.
    """

    counts: Tensor
    sums: Tensor

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        size = config.n_codebooks, config.codebook_size
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(*size, config.latent_width))

    @torch.no_grad()
    def initialise(self, quantiser: ResidualQuantiser, vectors: Tensor, per_step: int) -> None:
        """Set each codebook to the means of clusters of what those before it leave of the vectors `[n, D]`.

        `per_step` is the number of vectors of a step, from which the moving averages of the numbers begin.
        """
        residual = vectors
        for k, codebook in enumerate(quantiser.codebooks):
            means, nearest = cluster(residual, len(codebook))
            codebook.copy_(means)
            residual = residual - means[nearest]
            self.counts[k] = torch.bincount(nearest, minlength=len(codebook)) * (per_step / len(vectors))
            self.sums[k] = means * self.counts[k, :, None]

    @torch.no_grad()
    def update(self, quantiser: ResidualQuantiser, residuals: Tensor, indices: Tensor, draw: torch.Generator) -> None:
        """Move the codebooks towards the vectors that they stood for in a step.

        Args:
            quantiser: the codebooks, which are changed.
            residuals: what the codebooks before each have left of the frames, `[K, n, D]`.
            indices: the indices of the nearest vectors, `[K, n]`.
            draw: generator of the vectors that replace others.
        """
        for k, codebook in enumerate(quantiser.codebooks):
            counts = torch.bincount(indices[k], minlength=len(codebook))
            sums = torch.zeros_like(codebook).index_add_(0, indices[k], residuals[k])
            self.counts[k].lerp_(counts.to(codebook.dtype), 1 - DECAY)
            self.sums[k].lerp_(sums, 1 - DECAY)
            mean = self.counts[k].mean()
            (unused,) = (self.counts[k] < MIN_SHARE * mean).nonzero(as_tuple=True)
            if len(unused):
                drawn = torch.randint(residuals.shape[1], (len(unused),), generator=draw).to(residuals.device)
                self.counts[k, unused] = mean
                self.sums[k, unused] = mean * residuals[k, drawn]
            codebook.copy_(self.sums[k] / self.counts[k, :, None])


def quantise(quantiser: ResidualQuantiser, frames: Tensor, n_codebooks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise frames `[B, D, F]`, each sound with its own number of codebooks `[B]`.

    Returns:
        The quantised frames `[B, D, F]`, whose gradient is passed on to the frames as it is; what each codebook and
        those before it leave of the frames, `[B, K, F, D]`, with a gradient; and the indices `[B, K, F]`.
    """
    with torch.no_grad():
        indices = quantiser.encode(frames, len(quantiser.codebooks))
        own = zip(indices.unbind(1), quantiser.codebooks, strict=True)
        vectors = torch.stack([functional.embedding(index, codebook) for index, codebook in own], 1)  # (B, K, F, D)
        sums = vectors.cumsum(1)
        chosen = sums[torch.arange(len(sums)), n_codebooks - 1].transpose(1, 2)
    quantised = frames + (chosen - frames).detach()
    return quantised, frames.transpose(1, 2).unsqueeze(1) - sums, indices


def residuals_before(errors: Tensor, frames: Tensor) -> Tensor:
    """Return what the codebooks before each have left, `[K, B F, D]`.

    `errors` is what each codebook and those before it leave of the `frames` `[B, D, F]`; see `quantise`.
    """
    first = frames.transpose(1, 2).unsqueeze(1)
    before = torch.cat([first, errors[:, :-1]], 1).detach()
    return before.transpose(0, 1).flatten(1, 2)


def cluster(vectors: Tensor, n_clusters: int) -> tuple[Tensor, Tensor]:
    """Return the means `[N, D]` of `n_clusters` clusters of vectors `[n, D]`, and the cluster of each vector `[n]`.

    The first means are vectors drawn from torch's global generator; they must be at least as many as the clusters. A
    cluster without vectors keeps its mean.

    Source: Lloyd, Least Squares Quantization in PCM, 1982.
    """
    means = vectors[torch.randperm(len(vectors), device=vectors.device)[:n_clusters]].clone()
    for _ in range(N_MEANS_ITERATIONS):
        nearest = torch.cdist(vectors, means).argmin(1)
        counts = torch.bincount(nearest, minlength=n_clusters)
        sums = torch.zeros_like(means).index_add_(0, nearest, vectors)
        means = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), means)
    return means, torch.cdist(vectors, means).argmin(1)
