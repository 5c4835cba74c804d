"""Results that models of both kinds compute from tensors: ranked labels, and points in a plane.

The tasks `/classify` and `/project` are served by autoencoders and by Transformers, which share these two functions.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.errors import InvalidItems, Problem
from models.tasks.autoencoding import ProjectionMethod, ProjectResult
from models.tasks.classification import Activation, ClassifyResult, LabelScore

MIN_VARIATION = 1e-6
"""Smallest variation of vectors along an axis, relative to their norm, that is not taken for rounding of float32."""
ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(0),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}
"""The functions that map the logits of one item's classes, `[n_labels]`, to scores."""


def rank_labels(
    labels: tuple[str, ...], logits: Tensor, *, activation: Activation, top_k: int | None = None
) -> ClassifyResult:
    """Return the `top_k` labels with the highest scores, best first; all labels if None.

    The scores are the `activation` of the logits `[n_labels]`.
    """
    scores = ACTIVATIONS[activation](logits)
    best, indices = scores.topk(min(top_k or len(labels), len(labels)))
    pairs = zip(indices.tolist(), best.tolist(), strict=True)
    return ClassifyResult(labels=tuple(LabelScore(labels[index], score) for index, score in pairs))


def project_to_plane(vectors: Tensor, method: ProjectionMethod) -> ProjectResult:
    """Project vectors `[n, D]` to points `[n, 2]`.

    With `pca`, the points are the first two principal components. The sign of a component is chosen so that its
    largest loading is positive, since equal vectors should give equal pictures. A component along which the vectors do
    not vary, or by no more than they are rounded, is 0. With `latent`, the vectors are the points.

    Source: Pearson 1901; Hotelling 1933.

    Raises:
        InvalidItems: the method is `latent` and D is not 2.
    """
    if method == "latent":
        if vectors.shape[1] != 2:
            detail = f"method latent needs a latent of width 2; this model's is {vectors.shape[1]}"
            raise InvalidItems(Problem(detail, parameter="method"))
        return ProjectResult(points=vectors)
    exact = vectors.double()
    centred = exact - exact.mean(0)
    _, deviations, directions = torch.linalg.svd(centred, full_matrices=False)
    axes = torch.zeros(2, vectors.shape[1], dtype=torch.float64)
    shares = torch.zeros(2, dtype=torch.float64)
    total, noise = deviations.square().sum(), MIN_VARIATION * exact.norm()
    for i in range(min(2, len(deviations))):
        if deviations[i] > noise:
            axes[i] = directions[i] * directions[i][directions[i].abs().argmax()].sign()
            shares[i] = deviations[i].square() / total
    return ProjectResult(points=(centred @ axes.T).float(), explained_variance=tuple(shares.tolist()))
