"""The base class of recipes for MNIST digits, with their measurements and pictures."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from typing_extensions import override

from models.autoencoders.denoising.model import DenoisingAutoencoder
from models.autoencoding.autoencoder import Autoencoder
from models.codecs.image import ImageCodec
from models.family import Model
from models.tasks import RECONSTRUCT, SAMPLE
from models.tasks.autoencoding import ReconstructRequest, SampleRequest
from training.autoencoders import AutoencoderRecipe
from training.data.files import DataFolder
from training.data.mnist import DIGITS, GreyImages, mnist_images, mnist_labels
from training.errors import DataError
from training.metrics import BATCH_SIZE, draw_samples, frechet_distance, pca_error, reconstruction_errors
from training.recipe import Resources

N_CALIBRATION = 5000
"""Number of test images whose scores are the calibration; every training image is trained on."""
N_PICTURED = 18

FRECHET_METRIC = "Frechet distance of 10,000 samples of the prior to the test split (features: denoising-ae-mnist's)"
RECONSTRUCTION_METRICS = {
    "test_mse": "mean squared error a pixel, test split, 10,000 images never trained on",
    "test_mae": "mean absolute error a pixel",
    "pca_test_mse": "mean squared error of PCA with as many components, for comparison",
}


class DigitRecipe(AutoencoderRecipe):
    """A recipe of an autoencoder of grey images of 28x28 pixels; its defaults are those of MNIST."""

    codec: ClassVar[Mapping[str, Any]] = {"modality": "image", "shape": [1, 28, 28], "paper": "black", "ink_box": 20}
    metrics = RECONSTRUCTION_METRICS
    headline = "mean squared error {test_mse:.5f} a pixel (PCA of the same width: {pca_test_mse:.5f})"
    caption = "The first test images, each left of its reconstruction."
    limits = """
It knows digits that fill the frame as MNIST's do: centred by mass, in a 20x20 box, with a dark background. Other
drawings come back looking like digits. The normal scores behind `/detect-anomalies` are those of the first 5,000 test
images, so that an anomaly is what does not look like an MNIST digit.
"""
    known_failings = (
        "Images that are not centred white digits on black come back looking like digits; anomalies are "
        "whatever does not look like an MNIST digit."
    )
    data_licence = "MNIST: copyright Y. LeCun and C. Cortes, widely redistributed under CC BY-SA 3.0."

    def images(self, data: DataFolder) -> GreyImages:
        """Return the training and test images."""
        return mnist_images(data)

    @override
    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return the first 10,000 training images and the first `N_CALIBRATION` test images."""
        images = self.images(data)
        return list(images.train[:10_000]), list(images.test[:N_CALIBRATION])

    @override
    def evaluate(self, models: Sequence[Model], resources: Resources) -> dict[str, float]:
        """Measure errors on the 10,000 test images, and those of PCA with the same latent width."""
        images = self.images(resources.data)
        (model,) = models
        width = prod(cast("Autoencoder", model).latent_shape)
        errors = reconstruction_errors(model, list(images.test))
        return errors | {"pca_test_mse": pca_error(images.train, images.test, width)}

    @override
    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Group the test images that the calibration does not use by their digit."""
        images, labels = self.images(data).test[N_CALIBRATION:], mnist_labels(data).test[N_CALIBRATION:]
        return {name: list(images[labels == digit]) for digit, name in enumerate(DIGITS)}

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw the first test images, each left of its reconstruction."""
        images = self.images(resources.data).test[:N_PICTURED]
        return side_by_side_png(images, reconstruct(model, images))


def reconstruct(model: Model, images: Tensor) -> Tensor:
    """Return the reconstructions of images `[n, C, H, W]`, in the same shape."""
    with torch.inference_mode():
        results = model.run(RECONSTRUCT, [ReconstructRequest(item=item) for item in images])
    return torch.stack([result.reconstruction for result in results])


def side_by_side_png(left: Tensor, right: Tensor) -> bytes:
    """Return a PNG of the images `left`, each beside its partner in `right`; both `[n, C, H, W]` in [0, 1]."""
    alternating = torch.stack([left, right], 1).flatten(0, 1)
    return ImageCodec(*alternating.shape[1:]).png(alternating.numpy())


def digit_frechet_distance(model: Model, resources: Resources) -> float:
    """Return the Frechet distance between the MNIST test images and as many samples of the model.

    The features are those before the last layer of the classifier of `denoising-ae-mnist`.
    """
    images = mnist_images(resources.data).test
    samples = draw_samples(model, len(images), seed=0)
    return frechet_distance(classifier_features(samples, resources), classifier_features(images, resources))


def classifier_features(images: Tensor, resources: Resources) -> Tensor:
    """Return the features `[n, 256]` of images `[n, 1, 28, 28]` in the classifier of `denoising-ae-mnist`."""
    classifier = cast("DenoisingAutoencoder", resources.model("denoising-ae-mnist")).classifier
    if classifier is None:
        raise DataError("denoising-ae-mnist has no classifier to take features from")
    with torch.inference_mode():
        return torch.cat([classifier.features(batch) for batch in torch.split(images, BATCH_SIZE)])


def draw_labelled_samples(model: Model, labels: Sequence[str]) -> Tensor:
    """Return one sample for each label, `[n, 1, 28, 28]`."""
    requests = [SampleRequest(seed=0, index=i, label=label) for i, label in enumerate(labels)]
    with torch.inference_mode():
        return torch.stack([result.sample for result in model.run(SAMPLE, requests)])
