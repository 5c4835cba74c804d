"""Measures of models, through the tasks the server runs. Shapes: `N` items, `D` elements of an item or feature."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from rich.progress import track
from torch import Tensor

from models.family import Model
from models.layers.autoencoder import Autoencoder
from models.tasks import CLASSIFY, COMPRESS, DENOISE, RECONSTRUCT, SAMPLE
from models.tasks import autoencoding as t

BATCH_SIZE = 500


def reconstruction_errors(model: Model, items: Sequence[Tensor]) -> dict[str, float]:
    """Mean squared and mean absolute error an element over the items."""
    results: list[t.ReconstructResult] = []
    with torch.inference_mode():
        for batch in batches(items):
            results += RECONSTRUCT.run(model, [t.ReconstructRequest(item=item) for item in batch])
    return {"test_mse": mean(r.mse for r in results), "test_mae": mean(r.mae for r in results)}


def denoising_error(model: Model, items: Sequence[Tensor], noise: t.Noise) -> float:
    """Mean squared error an element against the clean items; the i-th item's noise has the seed i."""
    total = 0.0
    with torch.inference_mode():
        for start, batch in zip(range(0, len(items), BATCH_SIZE), batches(items), strict=True):
            requests = [t.DenoiseRequest(item=x, noise=noise, seed=start + i) for i, x in enumerate(batch)]
            for item, result in zip(batch, DENOISE.run(model, requests), strict=True):
                total += (result.denoised - item).square().mean().item()
    return total / len(items)


def latents(model: Autoencoder, items: Sequence[Tensor]) -> Tensor:
    """`[N, *latent_shape]`."""
    with torch.inference_mode():
        return torch.cat([model.latents_of(batch) for batch in batches(items)])


def anomaly_scores(model: Autoencoder, items: Sequence[Tensor], name: str) -> Tensor:
    """The named score of each item: `[N]`."""
    with torch.inference_mode():
        parts = [part for batch in batches(items) for part in model.score_parts(batch, name)]
    return torch.stack([part.double().sum() for part in parts]).float()


def classification_error(model: Model, items: Sequence[Tensor], labels: Tensor, names: Sequence[str]) -> float:
    """Share of the items whose best label is not theirs; `labels` `[N]` are places in `names`."""
    predicted: list[str] = []
    with torch.inference_mode():
        for batch in batches(items):
            results = CLASSIFY.run(model, [t.ClassifyRequest(item=item, top_k=1) for item in batch])
            predicted += [result.labels[0].label for result in results]
    return mean(float(name != names[label]) for name, label in zip(predicted, labels.tolist(), strict=True))


def pca_error(train: Tensor, test: Tensor, n_components: int) -> float:
    """Mean squared error an element of `test` projected on the leading components of `train`, both `[N, …]`.

    The best any linear autoencoder of that latent width can do on `train` (Baldi and Hornik 1989).
    """
    x, y = train.flatten(1).double(), test.flatten(1).double()
    centre = x.mean(0)
    _, vectors = torch.linalg.eigh((x - centre).T @ (x - centre))  # eigenvalues ascend
    basis = vectors[:, -n_components:]
    centred = y - centre
    return float((centred - centred @ basis @ basis.T).square().mean())


def psnr_db(mse: float) -> float:
    """Peak signal-to-noise ratio of items in [0, 1]."""
    return -10 * math.log10(mse)


def bits_per_element(model: Model, items: Sequence[Tensor]) -> float:
    """Bytes of one lossless stream of all the items, header included, in bits an element."""
    with torch.inference_mode():
        (result,) = COMPRESS.run(model, [t.CompressRequest(items=tuple(items), lossless=True)])
    if result.mse:
        raise ArithmeticError("the lossless stream gave back something else")
    return float(result.bits_per_element)


def draw_samples(model: Model, n: int, seed: int) -> Tensor:
    """`[n, …]` by the model's default sampler."""
    sampled: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, n, BATCH_SIZE):
            requests = [t.SampleRequest(seed=seed, index=i) for i in range(start, min(start + BATCH_SIZE, n))]
            sampled += [result.sample for result in SAMPLE.run(model, requests)]
    return torch.stack(sampled)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Between the normal distributions fitted to features `[N, D]`: |m - m'|² + tr(C + C' - 2 (C C')^½).

    Source: Heusel et al. 2017, equation 6; Dowson and Landau 1982.
    """
    first, second = first.double(), second.double()
    c, d = torch.cov(first.T), torch.cov(second.T)
    values, vectors = torch.linalg.eigh(c)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ d @ root).clamp(min=0).sqrt().sum()
    return float((first.mean(0) - second.mean(0)).square().sum() + c.trace() + d.trace() - 2 * cross)


def auroc(scores: Tensor, positive: Tensor) -> float:
    """Probability that a positive scores higher than a negative, ties counted half; both `[N]`.

    Source: Mann and Whitney 1947; Fawcett 2006, section 7.
    """
    ordered, ranks = scores.double().sort()
    _, positions, counts = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    mean_rank = (last - (counts - 1) / 2)[positions]  # ranks from 1, equal scores share theirs
    n_positive = int(positive.sum())
    total = mean_rank[positive[ranks]].sum().item()
    return float((total - n_positive * (n_positive + 1) / 2) / (n_positive * (len(scores) - n_positive)))


def f1(predicted: Tensor, positive: Tensor) -> float:
    """Harmonic mean of precision and recall; both `[N]`, boolean."""
    return 2 * int((predicted & positive).sum()) / (int(predicted.sum()) + int(positive.sum()))


def binarise(images: Tensor, seed: int) -> Tensor:
    """Each pixel 1 with its grey's probability."""
    return (torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)) < images).float()


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean."""
    numbers = list(values)
    return sum(numbers) / len(numbers)


def mean_in_batches(
    description: str, items: Sequence[Tensor], size: int, measure: Callable[[Tensor, int], Tensor]
) -> float:
    """Mean of `measure(batch, number)`, one value an item, with a progress bar."""
    values: list[Tensor] = []
    with torch.inference_mode():
        for number, start in enumerate(track(range(0, len(items), size), description=description, transient=True)):
            values.append(measure(torch.stack(list(items[start : start + size])), number))
    return float(torch.cat(values).double().mean())


def batches(items: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """In order, `BATCH_SIZE` at a time."""
    return [items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE)]
