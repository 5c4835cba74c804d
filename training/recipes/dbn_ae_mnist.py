"""The deep belief network of MNIST digits, 784-1000-500-250-30: pretrained greedily, unrolled, fine-tuned."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoders.deep_belief.model import DeepBeliefNetwork
from models.autoencoders.deep_belief.objective import contrastive_divergence, squared_error
from models.codecs.image import ImageCodec
from models.family import Model
from models.tasks import SAMPLE
from models.tasks.autoencoding import SampleRequest
from training.data.mnist import DIGITS, mnist_images, mnist_labels
from training.digits import N_PICTURED, DigitRecipe, reconstruct
from training.metrics import classification_error
from training.recipe import Bar, Batch, Resources, Stage
from training.stages import DigitClassification, GreyReconstruction

N_PIXELS = 784


class Pretraining(Stage[DeepBeliefNetwork]):
    """Trains one restricted Boltzmann machine of the stack by contrastive divergence.

    Its data are the hidden probabilities of the machines below.
    """

    batch_size = 100
    autocast = False

    def __init__(self, level: int, *, n_epochs: int, rate: float, n_steps: int, persistent: bool) -> None:
        self.name = f"rbm-{level}"
        self.level, self.n_epochs, self.rate = level, n_epochs, rate
        self.n_steps, self.persistent = n_steps, persistent

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 60,000 images of the training split."""
        return (mnist_images(resources.data).train,)

    @override
    def begin(self, model: DeepBeliefNetwork, items: Batch) -> nn.Module:
        """Set the visible biases to the logits of the mean, and start the persistent chains at data."""
        rbm = model.machines[self.level]
        below = self._visible(model, items[0][: 10 * self.batch_size])
        rbm.visible_bias.data.copy_(below.mean(0).clamp(0.02, 0.98).logit())
        chains = nn.Module()
        if self.persistent:
            chains.register_buffer("visible", below[: self.batch_size].round())
        return chains

    @override
    def optimisers(self, model: DeepBeliefNetwork, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return gradient descent with momentum and a little weight decay, after Hinton's guide (2010)."""
        parameters = model.machines[self.level].parameters()
        return [torch.optim.SGD(parameters, lr=self.rate, momentum=0.9, weight_decay=1e-4)]

    @override
    def loss(self, model: DeepBeliefNetwork, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the contrastive divergence on binary draws of the layer below."""
        probabilities = self._visible(model, batch[0])
        visible = (torch.rand(probabilities.shape, generator=generator).to(probabilities) < probabilities).float()
        chains = dict(companion.named_buffers()).get("visible")
        loss, chains_after = contrastive_divergence(
            model.machines[self.level], visible, self.n_steps, generator, chains
        )
        if chains is not None:
            chains.copy_(chains_after)
        return loss

    @override
    def end(self, model: DeepBeliefNetwork, companion: nn.Module) -> None:
        """Keep the chains of the top machine in the model, since sampling continues them."""
        if self.level == len(model.machines) - 1:
            model.chains.copy_(companion.get_buffer("visible"))

    def _visible(self, model: DeepBeliefNetwork, images: Tensor) -> Tensor:
        with torch.no_grad():
            visible = images.flatten(1)
            for rbm in model.machines[: self.level]:
                visible = rbm.hidden(visible)
        return visible


def unrolled(model: DeepBeliefNetwork) -> nn.Module:
    """Return the encoder and the decoder; the machines are not fine-tuned."""
    return nn.ModuleList([model.encoder, model.decoder])


class FineTuning(GreyReconstruction[DeepBeliefNetwork]):
    """Fine-tunes encoder and decoder as one network."""

    name = "fine-tuning"

    @override
    def begin(self, model: DeepBeliefNetwork, items: Batch) -> nn.Module:
        """Unroll the machines into encoder and decoder."""
        model.unroll()
        return nn.Module()


class DbnAeMnist(DigitRecipe):
    """Recipe of `dbn-ae-mnist`: layers of 784-1000-500-250-30 and back."""

    name = "dbn-ae-mnist"
    family = "autoencoders/deep_belief"
    config = DeepBeliefConfig(input_shape=(1, 28, 28), hidden_widths=(1000, 500, 250), latent_width=30, labels=DIGITS)
    stages = (
        Pretraining(0, n_epochs=20, rate=0.05, n_steps=1, persistent=False),
        Pretraining(1, n_epochs=20, rate=0.05, n_steps=1, persistent=False),
        Pretraining(2, n_epochs=20, rate=0.05, n_steps=1, persistent=True),
        Pretraining(3, n_epochs=30, rate=0.002, n_steps=5, persistent=True),
        FineTuning(n_epochs=80, loss_of=squared_error, gain=None, trained_part=unrolled),
        DigitClassification[DeepBeliefNetwork](),
    )
    bars = {"test_squared_error": Bar(must=3.3, aim=2.8), **DigitRecipe.bars}  # noqa: RUF012
    metrics = {  # noqa: RUF012
        "test_squared_error": "squared error summed over the 784 pixels, MNIST test split, never trained on",
        "pca_squared_error": "squared error of PCA with 30 components, for comparison",
        "classification_error": "test error of the classifier, MNIST test split, never trained on",
        **DigitRecipe.metrics,
    }
    short_description = "handwritten digits, 784-1000-500-250-30; Gibbs samples; classes"
    headline = "squared error {test_squared_error:.5f} an image (Hinton and Salakhutdinov 2006: 3.00)"
    caption = "Top: the first test images, each left of its reconstruction. Bottom: Gibbs samples."
    summary = """
A deep belief network of handwritten digits: restricted Boltzmann machines 784-1000-500-250-**30**, pretrained greedily,
then unrolled into a deep autoencoder and fine-tuned, and a classifier fine-tuned from the encoder. Family:
`autoencoders/deep_belief`. Items: grey images 28x28 in [0, 1], white ink on black. Latent: 30 numbers. The machines
ship as well: `/sample` with `sampler: "gibbs"` runs 200 rounds of Gibbs sampling in the top one and generates down.
"""
    procedure = """
MNIST training split, 60,000 images (LeCun, Bottou, Bengio, Haffner 1998). Each machine by contrastive divergence on
batches of 100: CD-1 for the lower two, persistent chains for the upper two (one and five steps), 20 to 30 epochs, then
80 epochs of the unrolled network with Muon at 0.03, half of each batch slightly rotated, scaled, sheared and shifted.
Then 40 epochs of the classifier, which starts as a copy of the encoder, with labels smoothed by a tenth, Muon at 0.01;
about 30 minutes on one CPU core.
"""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the error summed over pixels, as in the paper, and the metrics of the other digit recipes."""
        metrics = super().evaluate(model, resources)
        images, labels = mnist_images(resources.data).test, mnist_labels(resources.data).test
        return {
            "test_squared_error": metrics["test_mse"] * N_PIXELS,
            "pca_squared_error": metrics["pca_test_mse"] * N_PIXELS,
            "classification_error": classification_error(model, list(images), labels, DIGITS),
            **metrics,
        }

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw reconstructions, with Gibbs samples below."""
        images = mnist_images(resources.data).test[:N_PICTURED]
        requests = [SampleRequest(seed=0, index=i, sampler="gibbs") for i in range(2 * N_PICTURED)]
        with torch.inference_mode():
            drawn = torch.stack([result.sample for result in model.run(SAMPLE, requests)])
        pairs = torch.stack([images, reconstruct(model, images)], 1).flatten(0, 1)
        return ImageCodec(1, 28, 28).png(torch.cat([pairs, drawn]).numpy())


RECIPE = DbnAeMnist()
