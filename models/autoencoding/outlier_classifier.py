"""An anomaly score of pictures: that of a small network that was trained to tell normal pictures from outliers.

It sees what the autoencoder makes of a picture: where the latent is, and where the reconstruction is wrong.

Shapes: `B` pictures, `C` channels, `H` height, `W` width, `E` elements of a picture, `F` features, `D` hidden width.

Source: Hendrycks, Mazeika, Dietterich, Deep Anomaly Detection with Outlier Exposure, 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from models.autoencoding.networks import Networks

OUTLIER = "outlier"
"""Name of the score."""
CELL_PX = 4
"""Height and width of the cells over which errors are averaged."""
MIN_ERROR = 1e-6
"""Mean squared error that is added to every other before its logarithm, so that this is finite."""
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, kw_only=True)
class OutlierClassifier:
    """A network with two hidden layers that tells outliers from normal pictures. All tensors are float32.

    Attributes:
        feature_mean: the mean by which features are standardised, `[F]`.
        feature_deviation: the deviation by which they are standardised, `[F]`.
        first_weight: the weights of the first hidden layer, `[D, F]`.
        first_bias: its biases, `[D]`.
        second_weight: the weights of the second hidden layer, `[D, D]`.
        second_bias: its biases, `[D]`.
        last_weight: the weights of the logit, `[1, D]`.
        last_bias: its bias, `[1]`.
    """

    score_names: ClassVar[tuple[str, ...]] = (OUTLIER,)

    feature_mean: Tensor
    feature_deviation: Tensor
    first_weight: Tensor
    first_bias: Tensor
    second_weight: Tensor
    second_bias: Tensor
    last_weight: Tensor
    last_bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits of being an outlier, `[B]`, of features `[B, F]`."""
        standardised = (features - self.feature_mean) / self.feature_deviation
        hidden = functional.gelu(functional.linear(standardised, self.first_weight, self.first_bias))
        hidden = functional.gelu(functional.linear(hidden, self.second_weight, self.second_bias))
        return functional.linear(hidden, self.last_weight, self.last_bias).squeeze(1)

    def contributions(self, score: str, items: Sequence[Tensor], networks: Networks) -> list[Tensor]:
        """Return how much each element contributes to the score of its picture, in the shape of the picture.

        The score is the softplus of the logit, which is the surprise, in nats, at learning that the picture is normal.
        It belongs to the whole picture; an element contributes its share of the squared error.
        """
        if score != OUTLIER:
            raise NotImplementedError(f"the classifier has the score {OUTLIER}, and not {score}")
        pictures = torch.stack(list(items)).float()
        latents, reconstructions = latents_and_reconstructions(items, networks)
        scores = functional.softplus(self.logits(features_of(pictures, latents, reconstructions)))
        squares = (reconstructions - pictures).square() + TINY
        shares = squares / squares.sum((1, 2, 3), keepdim=True)
        return list((shares * scores[:, None, None, None]).unbind())


def latents_and_reconstructions(pictures: Sequence[Tensor], networks: Networks) -> tuple[Tensor, Tensor]:
    """Return the latents of pictures and their reconstructions, `[B, C, H, W]`."""
    latents = networks.latents_of(pictures)
    reconstructions = networks.items_of(latents, [tuple(picture.shape) for picture in pictures])
    return latents.float(), torch.stack(list(reconstructions)).float()


def features_of(pictures: Tensor, latents: Tensor, reconstructions: Tensor) -> Tensor:
    """Return what the classifier sees of pictures `[B, C, H, W]`, `[B, F]`.

    These are the latents; the logarithms of the mean squared errors in cells of 4x4 pixels; the mean errors in these;
    the logarithm of the mean squared error of the picture; and that of its ratio to the picture's mean square. Rows and
    columns at the end that do not fill a cell are left out of the cells.
    """
    errors = reconstructions - pictures
    squares = errors.square()
    mean_square = squares.mean((1, 2, 3))[:, None] + MIN_ERROR
    power = pictures.square().mean((1, 2, 3))[:, None] + MIN_ERROR
    return torch.cat(
        [
            latents.flatten(1),
            (functional.avg_pool2d(squares, CELL_PX).flatten(1) + MIN_ERROR).log(),
            functional.avg_pool2d(errors, CELL_PX).flatten(1),
            mean_square.log(),
            (mean_square / power).log(),
        ],
        1,
    )
