"""Latents as points in a plane.

Items to logits to labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from models.errors import InvalidItems, Problem
from models.tasks.autoencoding import Activation, ClassifyRequest, ClassifyResult, LabelScore, Projection, ProjectResult


def project(latents: Tensor, method: Projection) -> ProjectResult:
    """`[n, Z]` to points `[n, 2]`: their first two principal components, or the latents themselves where Z is 2.

    Each component's sign makes its largest loading positive, so that the picture does not flip. With fewer than two
    directions in the latents, what is missing is 0. Source: Pearson 1901; Hotelling 1933.

    Raises:
        InvalidItems: the method is `latent` and Z is not 2.
    """
    if method == "latent":
        if latents.shape[1] != 2:
            raise InvalidItems(Problem(f"method latent needs a latent of width 2; this model's is {latents.shape[1]}"))
        return ProjectResult(points=latents)
    centred = (latents - latents.mean(0)).double()
    _, deviations, directions = torch.linalg.svd(centred, full_matrices=False)
    axes = torch.zeros(2, latents.shape[1], dtype=torch.float64)
    shares = torch.zeros(2, dtype=torch.float64)
    total = deviations.square().sum()
    for i in range(min(2, len(deviations))):
        if deviations[i] > 0:
            axes[i] = directions[i] * directions[i][directions[i].abs().argmax()].sign()
            shares[i] = deviations[i].square() / total
    return ProjectResult(points=(centred @ axes.T).float(), explained_variance=tuple(shares.tolist()))


_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(0),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}


def rank(labels: tuple[str, ...], logits: Tensor, request: ClassifyRequest) -> ClassifyResult:
    """The `top_k` best of `labels` by `logits` `[n_labels]`."""
    scores = _FUNCTIONS[request.function_to_apply](logits)
    best, places = scores.topk(min(request.top_k or len(labels), len(labels)))
    pairs = zip(places.tolist(), best.tolist(), strict=True)
    return ClassifyResult(labels=tuple(LabelScore(labels[i], score) for i, score in pairs))
