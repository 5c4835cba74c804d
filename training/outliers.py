"""Fit the classifier that tells pictures of digits from outliers, by what an autoencoder makes of both.

The outliers are made up. Shapes: `N` pictures, `F` features.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.outlier_classifier import OutlierClassifier, features_of, latents_and_reconstructions
from training.altered_digits import altered_digits
from training.data.files import DataFolder
from training.data.mnist import mnist_images, mnist_labels
from training.drawings import filled_shapes, pen_drawings
from training.metrics import batches
from training.typeset import typeset_characters

N_PEN_DRAWINGS, N_TYPESET, N_SHAPES, N_ALTERED = 60_000, 25_000, 8_000, 12_000
HIDDEN_WIDTH = 256
DROPOUT_PROB = 0.1
N_EPOCHS, BATCH_SIZE = 4, 500
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 1e-2
WARM_UP_SHARE = 0.05
"""Share of the steps over which the learning rate rises."""
MIN_DEVIATION = 1e-6


@cache
def made_up_outliers(data: DataFolder, seed: int = 0) -> Tensor:
    """Return drawings, characters of fonts, shapes, and altered digits of the MNIST training split, `[N, 1, 28, 28]`.

    They take some minutes, so they are kept for further models.
    """
    random = np.random.default_rng(seed)
    images, labels = mnist_images(data).train, mnist_labels(data).train
    return torch.cat(
        [
            pen_drawings(N_PEN_DRAWINGS, random),
            typeset_characters(N_TYPESET, random),
            filled_shapes(N_SHAPES, random),
            altered_digits(images, labels, N_ALTERED, random),
        ]
    )


def fit_outlier_classifier(
    model: Autoencoder, normal: Tensor, outliers: Tensor, *, n_epochs: int = N_EPOCHS, seed: int = 0
) -> OutlierClassifier:
    """Train a classifier to tell normal pictures from outliers, both `[N, C, H, W]`; the model stays as it is.

    Few epochs are enough, and more make it worse at outliers of other kinds.

    Args:
        model: the autoencoder whose latents and reconstructions are the features.
        normal: pictures of the kind that the model was trained on.
        outliers: pictures of other kinds.
        n_epochs: how many times each picture is seen.
        seed: the seed of all random draws.
    """
    draws = torch.Generator().manual_seed(seed)
    pictures = torch.cat([normal, outliers])
    features = _features(model, pictures)
    is_outlier = (torch.arange(len(pictures)) >= len(normal)).float()
    mean, deviation = features.mean(0), features.std(0).clamp(min=MIN_DEVIATION)
    network = _train((features - mean) / deviation, is_outlier, n_epochs, draws)
    first, second, last = (layer for layer in network if isinstance(layer, nn.Linear))
    return OutlierClassifier(
        feature_mean=mean,
        feature_deviation=deviation,
        first_weight=first.weight.detach(),
        first_bias=first.bias.detach(),
        second_weight=second.weight.detach(),
        second_bias=second.bias.detach(),
        last_weight=last.weight.detach(),
        last_bias=last.bias.detach(),
    )


def _features(model: Autoencoder, pictures: Tensor) -> Tensor:
    """Return the features of pictures, `[N, F]`."""
    with torch.no_grad():
        return torch.cat(
            [
                features_of(torch.stack(list(batch)), *latents_and_reconstructions(batch, model))
                for batch in batches(list(pictures))
            ]
        )


def _train(features: Tensor, is_outlier: Tensor, n_epochs: int, draws: torch.Generator) -> nn.Sequential:
    """Minimise the cross-entropy on standardised features `[N, F]` with AdamW and dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=draws)))
        network = _network(features.shape[1])
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        n_steps = n_epochs * max(1, len(features) // BATCH_SIZE)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1.0, (step + 1) / n_steps / WARM_UP_SHARE) * (1 - step / n_steps)
        )
        for rows in _shuffled(len(features), n_epochs, draws):
            loss = functional.binary_cross_entropy_with_logits(network(features[rows]).squeeze(1), is_outlier[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network


def _network(n_features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_features, HIDDEN_WIDTH),
        nn.GELU(),
        nn.Dropout(DROPOUT_PROB),
        nn.Linear(HIDDEN_WIDTH, HIDDEN_WIDTH),
        nn.GELU(),
        nn.Dropout(DROPOUT_PROB),
        nn.Linear(HIDDEN_WIDTH, 1),
    )


def _shuffled(n: int, n_epochs: int, draws: torch.Generator) -> Iterator[Tensor]:
    """Return the rows of each complete batch, in an order of its own for each epoch."""
    n_batches = max(1, n // BATCH_SIZE)
    for _ in range(n_epochs):
        yield from torch.split(torch.randperm(n, generator=draws), BATCH_SIZE)[:n_batches]
