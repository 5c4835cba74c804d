"""The denoising autoencoder of MNIST digits, and the classifier fine-tuned from its encoder."""

import torch
from torch import Tensor
from typing_extensions import override

from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoders.denoising.model import DenoisingAutoencoder
from models.autoencoders.denoising.objective import squared_error
from models.autoencoding.corruption import CORRUPTIONS
from models.family import Model
from models.tasks import DENOISE
from models.tasks.autoencoding import DenoiseRequest, Noise, NoiseType
from training.data.mnist import DIGITS, mnist_images, mnist_labels
from training.digits import N_PICTURED, DigitRecipe, side_by_side_png
from training.metrics import classification_error, denoising_error
from training.recipe import Bar, Resources
from training.stages import DigitClassification, GreyReconstruction

GAUSSIAN = Noise("gaussian", 0.3)
MIXTURE: tuple[tuple[NoiseType, slice, float], ...] = (
    ("gaussian", slice(0, None, 2), 0.5),
    ("masking", slice(1, None, 4), 0.5),
    ("salt_and_pepper", slice(3, None, 4), 0.25),
)
"""Kinds of noise: the name, the images of a batch that get it, and its maximum level."""


def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add gaussian noise to half of the images `[B, 1, 28, 28]` and the other kinds to a quarter each.

    The level is drawn for each image.
    """
    noisy = images.cpu().clone()
    for type_, indices, max_level in MIXTURE:
        part = noisy[indices]
        level = max_level * torch.rand(len(part), 1, 1, 1, generator=generator)
        noisy[indices] = CORRUPTIONS[type_](part, level, generator, 0.0, 1.0)
    return noisy.to(images.device)


class DenoisingAeMnist(DigitRecipe):
    """Recipe of `denoising-ae-mnist`: layers of 784-1024-512-256 and back; the classifier ends in 10 classes."""

    name = "denoising-ae-mnist"
    family = "autoencoders/denoising"
    config = DenoisingConfig(input_shape=(1, 28, 28), hidden_widths=(1024, 512), latent_width=256, labels=DIGITS)
    stages = (
        GreyReconstruction[DenoisingAutoencoder](n_epochs=100, loss_of=squared_error, gain=1.2, corrupt=corrupt),
        DigitClassification[DenoisingAutoencoder](),
    )
    bars = {  # noqa: RUF012
        "gaussian_mse": Bar(must=0.0075, aim=0.006),
        "classification_error": Bar(must=0.016, aim=0.012),
        **DigitRecipe.bars,
    }
    metrics = {  # noqa: RUF012
        "gaussian_mse": "mean squared error to the clean image, MNIST test split, gaussian noise of 0.3, clipped",
        "masking_mse": "the same, 25% of the pixels masked",
        "salt_and_pepper_mse": "the same, 10% of the pixels salt or pepper",
        "classification_error": "test error of the classifier, MNIST test split, never trained on",
        **DigitRecipe.metrics,
    }
    default_for = ("denoise", "classify")
    short_description = "handwritten digits, cleaned; classes"
    headline = "mean squared error {gaussian_mse:.5f} at noise 0.3; classification error {classification_error:.5f}"
    caption = "The first test images with gaussian noise of deviation 0.3, each left of what became of it."
    summary = """
A denoising autoencoder of handwritten digits: 784-1024-512-**256**-512-1024-784, GELU, sigmoid output, and a classifier
fine-tuned from its encoder. Family: `autoencoders/denoising`. Items: grey images 28x28 in [0, 1], white ink on black.
Latent: 256 numbers. It cleans gaussian noise up to a deviation of 0.5, masking up to a half, salt and pepper up to a
quarter.
"""
    procedure = """
MNIST training split, 60,000 images (LeCun, Bottou, Bengio, Haffner 1998). 100 epochs of 60 batches of 1,000: half of
the images with gaussian noise, a quarter each masked or salted, at levels drawn for each image; Muon at 0.03 with a
linear decay, half of each batch slightly moved. Then 40 epochs of the classifier, which starts as a copy of the
encoder, with labels smoothed by a tenth, Muon at 0.01; about 35 minutes on one CPU core.
"""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the errors for each kind of noise, and the classifier's."""
        images, labels = mnist_images(resources.data).test, mnist_labels(resources.data).test
        return {
            "gaussian_mse": denoising_error(model, list(images), GAUSSIAN),
            "masking_mse": denoising_error(model, list(images), Noise("masking", 0.25)),
            "salt_and_pepper_mse": denoising_error(model, list(images), Noise("salt_and_pepper", 0.1)),
            "classification_error": classification_error(model, list(images), labels, DIGITS),
            **super().evaluate(model, resources),
        }

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw noisy images, each left of the denoised one."""
        images = mnist_images(resources.data).test[:N_PICTURED]
        requests = [DenoiseRequest(item=image, noise=GAUSSIAN, seed=i) for i, image in enumerate(images)]
        with torch.inference_mode():
            results = model.run(DENOISE, requests)
        return side_by_side_png(torch.stack([r.noisy for r in results]), torch.stack([r.denoised for r in results]))


RECIPE = DenoisingAeMnist()
