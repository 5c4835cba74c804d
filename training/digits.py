"""The base classes of recipes for small grey pictures and for MNIST digits, with their measurements and pictures."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar, cast

import torch
from PIL import Image
from torch import Tensor
from typing_extensions import override

from models.autoencoders.denoising.model import DenoisingAutoencoder
from models.autoencoding.autoencoder import Autoencoder
from models.codecs.image import ImageCodec
from models.family import Model
from models.tasks import RECONSTRUCT, SAMPLE
from models.tasks.autoencoding import ReconstructRequest, SampleRequest
from training.autoencoders import AutoencoderRecipe
from training.calibrate import Scored
from training.data.fashion_mnist import fashion_mnist_sample
from training.data.files import DataFolder
from training.data.mnist import DIGITS, GreyImages, mnist_images, mnist_labels
from training.data.omniglot import omniglot_characters
from training.drawings import INK_BOX, framed
from training.errors import DataError
from training.metrics import (
    BATCH_SIZE,
    auroc,
    detect_anomalies,
    draw_samples,
    frechet_distance,
    pca_error,
    reconstruction_errors,
)
from training.outliers import fit_outlier_classifier, made_up_outliers
from training.recipe import Bar, Resources

N_PICTURED = 18

FRECHET_METRIC = "Frechet distance of 10,000 samples of the prior to the test split (features: denoising-ae-mnist's)"
OUTLIER_METRICS = {
    "false_alarms": "share of digits called anomalies, the half of the test split that is not the calibration",
    "characters_found": "share of handwritten characters called anomalies (Omniglot, 2,720 drawings)",
    "characters_auroc": "area under the ROC curve, digits against these characters",
    "clothes_found": "share of clothes called anomalies (Fashion-MNIST, the 900 pictures of its page)",
    "clothes_auroc": "area under the ROC curve, digits against these clothes",
}
RECONSTRUCTION_METRICS = {
    "test_mse": "mean squared error a pixel, test split, 10,000 images never trained on",
    "test_mae": "mean absolute error a pixel",
    "pca_test_mse": "mean squared error of PCA with as many components, for comparison",
}


class GreyPictureRecipe(AutoencoderRecipe):
    """A recipe of an autoencoder of grey pictures of 28x28 pixels."""

    codec: ClassVar[Mapping[str, Any]] = {"modality": "image", "shape": [1, 28, 28], "paper": "black"}
    metrics: ClassVar[Mapping[str, str]] = RECONSTRUCTION_METRICS
    headline = "mean squared error {test_mse:.5f} a pixel (PCA of the same width: {pca_test_mse:.5f})"
    caption = "The first test images, each left of its reconstruction."

    @abstractmethod
    def images(self, data: DataFolder) -> GreyImages:
        """Return the training and test images."""

    @override
    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return the first 10,000 training images and a random half of the test images; see `random_halves`."""
        images = self.images(data)
        return list(images.train[:10_000]), list(random_halves(images.test)[0])

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure errors on the 10,000 test images, and those of PCA with the same latent width."""
        images = self.images(resources.data)
        width = prod(cast("Autoencoder", model).latent_shape)
        errors = reconstruction_errors(model, list(images.test))
        return errors | {"pca_test_mse": pca_error(images.train, images.test, width)}

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw the first test images, each left of its reconstruction."""
        images = self.images(resources.data).test[:N_PICTURED]
        return side_by_side_png(images, reconstruct(model, images))


class DigitRecipe(GreyPictureRecipe):
    """A recipe of an autoencoder of MNIST digits, whose default anomaly score is that of an outlier classifier."""

    codec: ClassVar[Mapping[str, Any]] = {**GreyPictureRecipe.codec, "ink_box": INK_BOX}
    bars: ClassVar[Mapping[str, Bar]] = {
        "characters_found": Bar(must=0.7, aim=0.95, higher_is_better=True),
        "clothes_found": Bar(must=0.7, aim=0.95, higher_is_better=True),
    }
    metrics: ClassVar[Mapping[str, str]] = {**GreyPictureRecipe.metrics, **OUTLIER_METRICS}
    limits = """
It knows digits that fill the frame as MNIST's do: centred by mass, in a 20x20 box, with a dark background. Other
drawings come back looking like digits. The default score of `/detect-anomalies`, `outlier`, is that of a small
classifier. By the latent and the errors of the reconstruction, it tells the training images from made-up outliers:
random pen drawings, characters of fonts, filled shapes, and digits that are mirrored, turned, doubled or written over.
Omniglot and Fashion-MNIST were not trained on, but looked at when the kinds of outliers were chosen, so that the
figures are kind. Characters that look like digits are missed first, such as O, l, Z, S and q. The normal scores are
those of a random half of the test images; false alarms are counted on the other half.
"""
    known_failings = (
        "Images that are not centred white digits on black come back looking like digits; as anomalies, "
        "letters that look like digits are missed."
    )
    data_licence = """
MNIST: copyright Y. LeCun and C. Cortes, widely redistributed under CC BY-SA 3.0.
Only measured with: Omniglot, MIT, copyright 2015 Brenden Lake; Fashion-MNIST, MIT, copyright 2017 Zalando SE.
"""

    @override
    def images(self, data: DataFolder) -> GreyImages:
        return mnist_images(data)

    @override
    def add_scores(self, model: Autoencoder, scored: Scored, resources: Resources) -> None:
        """Add the score of a classifier that was trained on the training images and on made-up outliers."""
        outliers = made_up_outliers(resources.data)
        model.use_detector(fit_outlier_classifier(model, self.images(resources.data).train, outliers))

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the errors of reconstruction, and what is found of characters and clothes."""
        return super().evaluate(model, resources) | self.evaluate_scores(model, resources)

    @override
    def evaluate_scores(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure what is found of characters and clothes, and the false alarms on digits that do not calibrate."""
        data = resources.data
        normal, false_alarms = detect_anomalies(model, list(random_halves(self.images(data).test)[1]))
        metrics = {"false_alarms": false_alarms.float().mean().item()}
        for name, pictures in self.chart_anomalies(data).items():
            scores, found = detect_anomalies(model, pictures)
            is_anomaly = torch.arange(len(normal) + len(scores)) >= len(normal)
            metrics[f"{name}_found"] = found.float().mean().item()
            metrics[f"{name}_auroc"] = auroc(torch.cat([normal, scores]), is_anomaly)
        return metrics

    @override
    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Group the test images that the calibration does not use by their digit."""
        images, labels = (random_halves(test)[1] for test in (self.images(data).test, mnist_labels(data).test))
        return {name: list(images[labels == digit]) for digit, name in enumerate(DIGITS)}

    @override
    def chart_anomalies(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Return the characters of Omniglot, placed as digits are, and the clothes of Fashion-MNIST."""
        return {"characters": list(framed_characters(data)), "clothes": list(fashion_mnist_sample(data))}


def random_halves(test: Tensor) -> tuple[Tensor, Tensor]:
    """Return the half of a test split that is the calibration, and the half that measures it.

    They are drawn at random, and always the same: the digits of the first half of MNIST's test split are harder than
    those of the second.
    """
    first, second = torch.randperm(len(test), generator=torch.Generator().manual_seed(0)).chunk(2)
    return test[first], test[second]


def framed_characters(data: DataFolder) -> Tensor:
    """Return the characters of Omniglot as they look when they are placed as digits are, `[2720, 1, 28, 28]`."""
    return torch.stack([framed(Image.fromarray(drawing)) for drawing in omniglot_characters(data).numpy()])


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
