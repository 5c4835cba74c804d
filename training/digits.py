"""What recipes of MNIST digits share: items, pictures, licences."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from models.autoencoders.denoising.model import DenoisingAutoencoder
from models.codecs.image import ImageCodec
from models.family import Model
from models.tasks import RECONSTRUCT, SAMPLE
from models.tasks import autoencoding as t
from training.autoencoders import AutoencoderRecipe
from training.data.files import DataFolder
from training.data.mnist import DIGITS, GreyImages, mnist_images, mnist_labels
from training.errors import DataError
from training.metrics import BATCH_SIZE, draw_samples, frechet_distance, pca_error, reconstruction_errors
from training.recipe import Resources

N_CALIBRATION = 5000
"""Test images whose scores are the calibration: the training split is all trained on. Metrics do not use thresholds."""
N_PICTURED = 18

FRECHET_METRIC = "Frechet distance of 10,000 samples of the prior to the test split (features: denoising-ae-mnist's)"
RECONSTRUCTION_METRICS = {
    "test_mse": "mean squared error a pixel, test split, 10,000 images never trained on",
    "test_mae": "mean absolute error a pixel",
    "pca_test_mse": "mean squared error of PCA with as many components, for comparison",
}


class DigitRecipe(AutoencoderRecipe):
    """Grey images of 28x28."""

    codec = {"modality": "image", "shape": [1, 28, 28]}  # noqa: RUF012
    metrics = RECONSTRUCTION_METRICS
    headline = "mean squared error {test_mse:.5f} a pixel (PCA of the same width: {pca_test_mse:.5f})"
    caption = "The first test images, each left of its reconstruction."
    limits = """
It knows digits that fill the frame as MNIST's do: centred by mass, in a 20x20 box, with a dark background. Other
drawings come back looking like digits. The normal scores behind `/detect-anomalies` are those of the first 5,000 test
images, so that an anomaly is what does not look like an MNIST digit.
"""
    data_licence = "MNIST: copyright Y. LeCun and C. Cortes, widely redistributed under CC BY-SA 3.0."

    def images(self, data: DataFolder) -> GreyImages:
        """Both splits."""
        return mnist_images(data)

    @override
    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The first 10,000 training images; the first test images."""
        images = self.images(data)
        return list(images.train[:10_000]), list(images.test[:N_CALIBRATION])

    @override
    def evaluate(self, models: Sequence[Model], resources: Resources) -> dict[str, float]:
        """Errors on the 10,000 test images, beside PCA of the same latent width."""
        images = self.images(resources.data)
        (model,) = models
        width = int(torch.tensor(model.latent_shape).prod())
        errors = reconstruction_errors(model, list(images.test))
        return errors | {"pca_test_mse": pca_error(images.train, images.test, width)}

    @override
    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """The last 5,000 test images by their digit."""
        images, labels = self.images(data).test[N_CALIBRATION:], mnist_labels(data).test[N_CALIBRATION:]
        return {name: list(images[labels == digit]) for digit, name in enumerate(DIGITS)}

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """The first test images, each left of its reconstruction."""
        images = self.images(resources.data).test[:N_PICTURED]
        return side_by_side_png(images, reconstruct(model, images))


def reconstruct(model: Model, images: Tensor) -> Tensor:
    """`[n, …]` after the round trip."""
    with torch.inference_mode():
        results = RECONSTRUCT.run(model, [t.ReconstructRequest(item=item) for item in images])
    return torch.stack([result.reconstruction for result in results])


def side_by_side_png(left: Tensor, right: Tensor) -> bytes:
    """A PNG of images `[n, C, H, W]`, each beside its partner."""
    both = torch.stack([left, right], 1).flatten(0, 1)
    return ImageCodec(*both.shape[1:]).png(both.numpy())


def digit_frechet_distance(model: Model, resources: Resources) -> float:
    """Of as many samples as there are test images, in the features behind denoising-ae-mnist's last layer."""
    images = mnist_images(resources.data).test
    return frechet_distance(
        classifier_features(draw_samples(model, len(images), seed=0), resources), classifier_features(images, resources)
    )


def classifier_features(images: Tensor, resources: Resources) -> Tensor:
    """`[n, 256]` of `[n, 1, 28, 28]`."""
    classifier = cast("DenoisingAutoencoder", resources.model("denoising-ae-mnist")).classifier
    if classifier is None:
        raise DataError("denoising-ae-mnist has no classifier to take features from")
    with torch.inference_mode():
        return torch.cat([classifier.features(batch) for batch in torch.split(images, BATCH_SIZE)])


def draw_labelled_samples(model: Model, labels: Sequence[str]) -> Tensor:
    """One sample of each label, `[n, 1, 28, 28]`."""
    requests = [t.SampleRequest(seed=0, index=i, label=label) for i, label in enumerate(labels)]
    with torch.inference_mode():
        return torch.stack([result.sample for result in SAMPLE.run(model, requests)])
