"""Measure models through the tasks that the server runs. Shapes: `N` items, `D` elements of an item or feature."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from rich.progress import track
from torch import Tensor

from models.autoencoding.anomalies import contributions_of, scores_from
from models.autoencoding.autoencoder import Autoencoder
from models.family import Model
from models.tasks import CLASSIFY, COMPRESS, DENOISE, DETECT_ANOMALIES, RECONSTRUCT, SAMPLE
from models.tasks.autoencoding import (
    CompressRequest,
    DenoiseRequest,
    DetectAnomaliesRequest,
    DetectAnomaliesResult,
    Noise,
    ReconstructRequest,
    ReconstructResult,
    SampleRequest,
)
from models.tasks.classification import ClassifyRequest

BATCH_SIZE = 500


def reconstruction_errors(model: Model, items: Sequence[Tensor]) -> dict[str, float]:
    """Return the mean squared and mean absolute error per element of the reconstructed items."""
    results: list[ReconstructResult] = []
    with torch.inference_mode():
        for batch in batches(items):
            results += model.run(RECONSTRUCT, [ReconstructRequest(item=item) for item in batch])
    return {"test_mse": mean(r.mse for r in results), "test_mae": mean(r.mae for r in results)}


def denoising_error(model: Model, items: Sequence[Tensor], noise: Noise) -> float:
    """Return the mean squared error per element against the clean items; the noise of the i-th item has the seed i."""
    total = 0.0
    with torch.inference_mode():
        for start, batch in zip(range(0, len(items), BATCH_SIZE), batches(items), strict=True):
            requests = [DenoiseRequest(item=x, noise=noise, seed=start + i) for i, x in enumerate(batch)]
            for item, result in zip(batch, model.run(DENOISE, requests), strict=True):
                total += (result.denoised - item).square().mean().item()
    return total / len(items)


def latents(model: Autoencoder, items: Sequence[Tensor]) -> Tensor:
    """Return the latents of the items, `[N, *latent_shape]`."""
    with torch.inference_mode():
        return torch.cat([model.latents_of(batch) for batch in batches(items)])


def anomaly_scores(model: Autoencoder, items: Sequence[Tensor], name: str) -> Tensor:
    """Return the anomaly score of that name for each item or, of long series, for each step of each of them: `[N]`."""
    by_step = model.windows is not None
    with torch.inference_mode():
        parts = [part for batch in batches(items) for part in contributions_of(model, batch, name)]
    return torch.cat([scores_from(part, by_step=by_step) for part in parts]).float()


def detect_anomalies(model: Model, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the anomaly score and the alarm, a boolean, of each item: two tensors `[N]`.

    Both are those of `/detect-anomalies` with its default parameters.
    """
    results: list[DetectAnomaliesResult] = []
    with torch.inference_mode():
        for batch in batches(items):
            results += model.run(DETECT_ANOMALIES, [DetectAnomaliesRequest(item=item) for item in batch])
    return torch.tensor([r.score for r in results]), torch.tensor([r.is_anomaly for r in results])


def classification_error(model: Model, items: Sequence[Tensor], labels: Tensor, names: Sequence[str]) -> float:
    """Return the share of items whose likeliest label is wrong; `labels` `[N]` are indices into `names`."""
    predicted: list[str] = []
    with torch.inference_mode():
        for batch in batches(items):
            results = model.run(CLASSIFY, [ClassifyRequest(item=item, top_k=1) for item in batch])
            predicted += [result.labels[0].label for result in results]
    return mean(float(name != names[label]) for name, label in zip(predicted, labels.tolist(), strict=True))


def pca_error(train: Tensor, test: Tensor, n_components: int) -> float:
    """Return the mean squared error per element of `test` projected on the leading components of `train`.

    No linear autoencoder with a latent of `n_components` has a smaller error on `train` (Baldi and Hornik 1989).
    """
    x, y = train.flatten(1).double(), test.flatten(1).double()
    centre = x.mean(0)
    _, vectors = torch.linalg.eigh((x - centre).T @ (x - centre))  # in ascending order of eigenvalues
    basis = vectors[:, -n_components:]
    centred = y - centre
    return float((centred - centred @ basis @ basis.T).square().mean())


def psnr_db(mse: float) -> float:
    """Return the peak signal-to-noise ratio in decibels of items in [0, 1] with that mean squared error."""
    return -10 * math.log10(mse)


def bits_per_element(model: Model, items: Sequence[Tensor]) -> float:
    """Return the size, in bits per element, of one lossless stream of all items, header included.

    Raises:
        ArithmeticError: the decompressed items differ from the originals.
    """
    with torch.inference_mode():
        (result,) = model.run(COMPRESS, [CompressRequest(items=tuple(items), lossless=True)])
    if result.mse:
        raise ArithmeticError("the lossless stream does not give back the original items")
    return float(result.bits_per_element)


def draw_samples(model: Model, n: int, seed: int) -> Tensor:
    """Draw `n` samples, `[n, …]`, with the model's default sampler."""
    sampled: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, n, BATCH_SIZE):
            requests = [SampleRequest(seed=seed, index=i) for i in range(start, min(start + BATCH_SIZE, n))]
            sampled += [result.sample for result in model.run(SAMPLE, requests)]
    return torch.stack(sampled)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the Frechet distance of the Gaussians fitted to two sets of features `[N, D]`.

    With means m, m' and covariances C, C', it is |m - m'|² + tr(C + C' - 2 (C C')^½).

    Source: Heusel et al. 2017, equation 6; Dowson and Landau 1982.
    """
    first, second = first.double(), second.double()
    c, d = torch.cov(first.T), torch.cov(second.T)
    values, vectors = torch.linalg.eigh(c)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ d @ root).clamp(min=0).sqrt().sum()
    return float((first.mean(0) - second.mean(0)).square().sum() + c.trace() + d.trace() - 2 * cross)


def auroc(scores: Tensor, positive: Tensor) -> float:
    """Return the probability that a positive scores higher than a negative, with ties counted half; both `[N]`.

    Source: Mann and Whitney 1947; Fawcett 2006, section 7.
    """
    ordered, ranks = scores.double().sort()
    _, positions, counts = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    mean_rank = (last - (counts - 1) / 2)[positions]  # ranks count from 1; equal scores share their mean rank
    n_positive = int(positive.sum())
    total = mean_rank[positive[ranks]].sum().item()
    return float((total - n_positive * (n_positive + 1) / 2) / (n_positive * (len(scores) - n_positive)))


def f1(predicted: Tensor, positive: Tensor) -> float:
    """Return the harmonic mean of precision and recall; both arguments `[N]`, boolean."""
    return 2 * int((predicted & positive).sum()) / (int(predicted.sum()) + int(positive.sum()))


def binarise(images: Tensor, seed: int) -> Tensor:
    """Draw each pixel as 1 with the probability of its grey value, else 0."""
    return (torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)) < images).float()


def mean(values: Iterable[float]) -> float:
    """Return the arithmetic mean."""
    numbers = list(values)
    return sum(numbers) / len(numbers)


def mean_in_batches(
    description: str, items: Sequence[Tensor], size: int, measure: Callable[[Tensor, int], Tensor]
) -> float:
    """Return the mean of `measure(batch, number)`, which gives one value per item, and show a progress bar."""
    values: list[Tensor] = []
    with torch.inference_mode():
        for number, start in enumerate(track(range(0, len(items), size), description=description, transient=True)):
            values.append(measure(torch.stack(list(items[start : start + size])), number))
    return float(torch.cat(values).double().mean())


def batches(items: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """Split the items into batches of `BATCH_SIZE`, in order."""
    return [items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE)]
