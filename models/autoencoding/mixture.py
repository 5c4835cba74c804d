"""A mixture of Gaussians over latents, to sample from families whose latents have no prior.

Shapes: `N` latents, `Z` latent width, `R` principal components, `K` components of the mixture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_PRINCIPAL_COMPONENTS = 64
"""Maximum number of principal components whose covariances are modelled; the others are independent Gaussians."""
MIN_VARIANCE_SHARE = 1e-4
"""Share of the mean variance that is added to every covariance matrix, which makes it positive definite."""
N_KMEANS_ITERATIONS = 10
N_EM_ITERATIONS = 60
MIN_COUNT = 1e-6
"""Smallest number of latents that belong to a component, so that dividing by it stays finite."""


@dataclass(frozen=True, kw_only=True)
class GaussianMixture:
    """The distribution of `mean` + `basis` u + `residual` * noise, where u follows a mixture of K Gaussians.

    Attributes:
        weights: probabilities of the components, `[K]`.
        means: means of the components, `[K, R]`.
        factors: lower Cholesky factors of the covariances of the components, `[K, R, R]`.
        mean: mean of the latents, `[Z]`.
        basis: principal directions, `[Z, R]`.
        residual: standard deviations of what the principal directions do not explain, `[Z]`.

    All tensors are float32.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    mean: Tensor
    basis: Tensor
    residual: Tensor

    def draw(self, generator: torch.Generator, temperature: float) -> Tensor:
        """Draw a latent `[Z]`. The temperature scales the standard deviations, but not the weights."""
        component = torch.multinomial(self.weights, 1, generator=generator).squeeze()
        noise = torch.randn(self.means.shape[1], generator=generator) * temperature
        residual_noise = torch.randn(len(self.mean), generator=generator) * temperature
        projected = self.means[component] + self.factors[component] @ noise
        return self.mean + self.basis @ projected + self.residual * residual_noise


def fit_mixture(latents: Tensor, n_components: int, generator: torch.Generator) -> GaussianMixture:
    """Fit a mixture to latents `[N, Z]` by expectation maximisation on their leading principal components.

    Source: Dempster, Laird, Rubin 1977; Tipping and Bishop 1999 for the principal components.
    """
    x = latents.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    basis = vectors.flip(1)[:, : min(MAX_PRINCIPAL_COMPONENTS, x.shape[1])]
    projected = (x - mean) @ basis  # (N, R)
    residual = (x - mean) - projected @ basis.T
    weights, means, covariances = _initialise(projected, n_components, generator)
    jitter = MIN_VARIANCE_SHARE * values.clamp(min=0).mean() * torch.eye(projected.shape[1], dtype=torch.float64)
    for _ in range(N_EM_ITERATIONS):
        factors = torch.linalg.cholesky(covariances + jitter)
        responsibilities = _responsibilities(projected, weights, means, factors)
        weights, means, covariances = _maximise(projected, responsibilities)
    return GaussianMixture(
        weights=weights.float(),
        means=means.float(),
        factors=torch.linalg.cholesky(covariances + jitter).float(),
        mean=mean.float(),
        basis=basis.float().contiguous(),
        residual=residual.square().mean(0).sqrt().float(),
    )


def _initialise(x: Tensor, n_components: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights, means and covariances of the clusters that k-means finds from random latents."""
    centres = x[torch.randperm(len(x), generator=generator)[:n_components]]
    for _ in range(N_KMEANS_ITERATIONS):
        nearest = torch.cdist(x, centres).argmin(1)
        counts = torch.bincount(nearest, minlength=n_components).clamp(min=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        centres = sums / counts[:, None]
    return _maximise(x, torch.nn.functional.one_hot(nearest, n_components).double())


def _responsibilities(x: Tensor, weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Return P(component | x), `[N, K]`."""
    columns = []
    for weight, mean, factor in zip(weights, means, factors, strict=True):
        whitened = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)
        columns.append(weight.log() - factor.diagonal().log().sum() - 0.5 * whitened.square().sum(0))
    return torch.stack(columns, 1).softmax(1)


def _maximise(x: Tensor, responsibilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights, means and covariances that maximise the expected likelihood."""
    counts = responsibilities.sum(0).clamp(min=MIN_COUNT)
    means = responsibilities.T @ x / counts[:, None]
    covariances = []
    for k, mean in enumerate(means):
        centred = x - mean
        covariances.append((centred * responsibilities[:, k : k + 1]).T @ centred / counts[k])
    return counts / counts.sum(), means, torch.stack(covariances)
