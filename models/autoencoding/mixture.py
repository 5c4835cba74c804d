"""A mixture of gaussians over latents, for families whose latent has no prior of its own.

Shapes: `N` latents, `Z` latent width, `R` principal components, `K` mixture components.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_COMPONENTS = 64
"""Principal components that the mixture models jointly; what lies beside them is one gaussian."""


_FLOOR = 1e-4


_N_ITERATIONS = 60


@dataclass(frozen=True, kw_only=True)
class GaussianMixture:
    """Latents are `mean` + `basis` u + `residual` * noise, and u follows a mixture of K full gaussians.

    `weights` `[K]`, `means` `[K, R]`, `factors` `[K, R, R]` (lower Cholesky factors), `mean` and `residual` `[Z]`,
    `basis` `[Z, R]`: all float32.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    mean: Tensor
    basis: Tensor
    residual: Tensor

    def draw(self, generator: torch.Generator, temperature: float) -> Tensor:
        """One latent `[Z]`; `temperature` scales every deviation, not the choice of the component."""
        component = torch.multinomial(self.weights, 1, generator=generator).squeeze()
        noise = torch.randn(self.means.shape[1], generator=generator) * temperature
        beside = torch.randn(len(self.mean), generator=generator) * temperature
        inside = self.means[component] + self.factors[component] @ noise
        return self.mean + self.basis @ inside + self.residual * beside


def fit_mixture(latents: Tensor, n_components: int, generator: torch.Generator) -> GaussianMixture:
    """Expectation maximisation from a k-means start, on the leading principal components of `[N, Z]`.

    Source: Dempster, Laird, Rubin 1977; the principal components as in Tipping and Bishop 1999.
    """
    x = latents.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    basis = vectors.flip(1)[:, : min(MAX_COMPONENTS, x.shape[1])]
    inside = (x - mean) @ basis  # (N, R)
    beside = (x - mean) - inside @ basis.T
    weights, means, covariances = _start(inside, n_components, generator)
    jitter = _FLOOR * values.clamp(min=0).mean() * torch.eye(inside.shape[1], dtype=torch.float64)
    for _ in range(_N_ITERATIONS):
        factors = torch.linalg.cholesky(covariances + jitter)
        shares = _responsibilities(inside, weights, means, factors)
        weights, means, covariances = _maximise(inside, shares)
    return GaussianMixture(
        weights=weights.float(),
        means=means.float(),
        factors=torch.linalg.cholesky(covariances + jitter).float(),
        mean=mean.float(),
        basis=basis.float().contiguous(),
        residual=beside.square().mean(0).sqrt().float(),
    )


def _start(x: Tensor, n_components: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Ten rounds of k-means from random items."""
    centres = x[torch.randperm(len(x), generator=generator)[:n_components]]
    for _ in range(10):
        nearest = torch.cdist(x, centres).argmin(1)
        counts = torch.bincount(nearest, minlength=n_components).clamp(min=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        centres = sums / counts[:, None]
    return _maximise(x, torch.nn.functional.one_hot(nearest, n_components).double())


def _responsibilities(x: Tensor, weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """P(component | x): `[N, K]`."""
    columns = []
    for weight, mean, factor in zip(weights, means, factors, strict=True):
        whitened = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)
        columns.append(weight.log() - factor.diagonal().log().sum() - 0.5 * whitened.square().sum(0))
    return torch.stack(columns, 1).softmax(1)


def _maximise(x: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    counts = shares.sum(0).clamp(min=1e-6)
    means = shares.T @ x / counts[:, None]
    covariances = []
    for k, mean in enumerate(means):
        centred = x - mean
        covariances.append((centred * shares[:, k : k + 1]).T @ centred / counts[k])
    return counts / counts.sum(), means, torch.stack(covariances)
