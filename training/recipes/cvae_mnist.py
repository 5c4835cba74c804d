"""The label-conditional variational autoencoder of binarised MNIST digits: latent 32 and a class."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.variational.config import VariationalConfig
from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoders.variational.objective import elbo
from models.codecs.image import ImageCodec
from models.family import Model
from training.data.mnist import DIGITS, mnist_images, mnist_labels
from training.digits import DigitRecipe, draw_labelled_samples
from training.metrics import classification_error
from training.optimisers import initialise_linear, muon_and_adamw
from training.recipe import Batch, Resources, Stage
from training.stages import augment_half


class ConditionalBound(Stage[VariationalAutoencoder]):
    """Maximises the ELBO given the class and the classifier's log-likelihood, on binarised digits."""

    name = "elbo"
    n_epochs = 60
    batch_size = 1000

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 60,000 grey images of the training split and their labels."""
        return mnist_images(resources.data).train, mnist_labels(resources.data).train

    @override
    def begin(self, model: VariationalAutoencoder, items: Batch) -> nn.Module:
        """Draw He's weights, for rectifiers."""
        initialise_linear(model.modules(), gain=2**0.5)
        return nn.Module()

    @override
    def optimisers(self, model: VariationalAutoencoder, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon for the matrices and AdamW for the biases."""
        return muon_and_adamw(model, muon_lr=0.05, adamw_lr=1e-3)

    @override
    def loss(
        self, model: VariationalAutoencoder, batch: Batch, generator: torch.Generator, companion: nn.Module
    ) -> Tensor:
        """Return the negative ELBO in nats per image plus ten times the classifier's cross-entropy."""
        images, labels = batch
        images = augment_half(images, generator)
        binary = (torch.rand(images.shape, generator=generator).to(images.device) < images).float()
        classes = functional.one_hot(labels, len(DIGITS)).float()
        noise = torch.randn(1, len(images), model.latent_width, generator=generator).to(images.device)
        cross_entropy = functional.cross_entropy(model.class_logits(binary).float(), labels, label_smoothing=0.05)
        return 10 * cross_entropy - elbo(model, binary, noise, classes).mean()


class CvaeMnist(DigitRecipe):
    """Recipe of `cvae-mnist`: encoder 794-512-512-32, decoder from 42 back, classifier 784-512-10."""

    name = "cvae-mnist"
    family = "autoencoders/variational"
    config = VariationalConfig(input_shape=(1, 28, 28), hidden_widths=(512, 512), latent_width=32, labels=DIGITS)
    stages = (ConditionalBound(),)
    metrics = {  # noqa: RUF012
        "sample_error": "share of 1,000 samples that denoising-ae-mnist takes for another digit than asked for",
        "classification_error": "test error of the classifier, MNIST test split, never trained on",
        **DigitRecipe.metrics,
    }
    default_for = ("encode", "decode", "sample", "interpolate", "project")
    short_description = "handwritten digits, samples of a class"
    headline = (
        "{sample_error:.5f} of the samples taken for another digit; classification error {classification_error:.5f}"
    )
    caption = "Ten samples of each digit."
    summary = """
A label-conditional variational autoencoder of binarised handwritten digits: 784 pixels and a class to 512-512-**32**,
and back from 32 numbers and a class. Family: `autoencoders/variational`. Items: grey images 28x28 in [0, 1], white ink
on black. Latent: 32 numbers with a standard normal prior, then ten of the class, one-hot. `/sample` takes `label`;
`/classify` names digits with the classifier that stands in where the class is not given.
"""
    procedure = """
MNIST training split, 60,000 images and labels (LeCun, Bottou, Bengio, Haffner 1998), binarised anew in every batch. 60
epochs of 60 batches of 1,000, Muon at 0.05 with a linear decay, half of each batch slightly moved; about 8 minutes on
one CPU core.
"""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure whether samples show the requested digits, the classifier and the reconstructions."""
        images, labels = mnist_images(resources.data).test, mnist_labels(resources.data).test
        requested = torch.arange(1000) % len(DIGITS)
        drawn = draw_labelled_samples(model, [DIGITS[i] for i in requested])
        return {
            "sample_error": classification_error(resources.model("denoising-ae-mnist"), list(drawn), requested, DIGITS),
            "classification_error": classification_error(model, list(images), labels, DIGITS),
            **super().evaluate(model, resources),
        }

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw ten samples of each digit."""
        return ImageCodec(1, 28, 28).png(draw_labelled_samples(model, [d for d in DIGITS for _ in range(10)]).numpy())


RECIPE = CvaeMnist()
