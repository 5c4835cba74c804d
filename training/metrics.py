"""Measures of reconstructions. Shapes: `N` items, `D` elements of an item."""

import torch
from torch import Tensor

from models.family import Model
from models.tasks import RECONSTRUCT, ReconstructRequest, ReconstructResult

BATCH_SIZE = 500


def reconstruction_errors(model: Model, items: Tensor) -> dict[str, float]:
    """Mean squared and mean absolute error an element over `[N, …]`, through the task the server runs."""
    results: list[ReconstructResult] = []
    with torch.inference_mode():
        for batch in torch.split(items, BATCH_SIZE):
            results += RECONSTRUCT.run(model, [ReconstructRequest(item=item) for item in batch])  # type: ignore[arg-type]
    n = len(results)
    return {"test_mse": sum(r.mse for r in results) / n, "test_mae": sum(r.mae for r in results) / n}


def pca_error(train: Tensor, test: Tensor, n_components: int) -> float:
    """Mean squared error an element of `test` projected on the leading components of `train`, both `[N, …]`.

    The best any linear autoencoder of that latent width can do on `train` (Baldi and Hornik 1989).
    """
    x, y = train.flatten(1).double(), test.flatten(1).double()
    mean = x.mean(0)
    _, vectors = torch.linalg.eigh((x - mean).T @ (x - mean))  # eigenvalues ascend
    basis = vectors[:, -n_components:]
    centred = y - mean
    return float((centred - centred @ basis @ basis.T).square().mean())
