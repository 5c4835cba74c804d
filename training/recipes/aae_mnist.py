"""The semi-supervised adversarial autoencoder of MNIST digits: 10 latents of style and a class, with 100 labels."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.adversarial.config import AdversarialConfig
from models.autoencoders.adversarial.model import AdversarialAutoencoder
from models.autoencoders.adversarial.objective import consistency, discrimination, regularisation, squared_error
from models.codecs.image import ImageCodec
from models.family import Model
from models.tasks import DECODE
from models.tasks.autoencoding import DecodeRequest
from training.augmentation import random_affine
from training.data.mnist import DIGITS, mnist_images, mnist_labels
from training.digits import FRECHET_METRIC, DigitRecipe, classifier_features, digit_frechet_distance
from training.metrics import classification_error, frechet_distance
from training.optimisers import initialise_linear, muon_and_adamw
from training.recipe import Bar, Batch, Resources, Stage

N_LABELS = 100
N_LABELLED = 200
"""Number of labelled images in a batch: each of the `N_LABELS` twice, with different augmentation."""


class Adversarial(Stage[AdversarialAutoencoder]):
    """Trains all networks in one step; each loss reaches only the networks it is meant for."""

    name = "adversarial"
    n_epochs = 60
    batch_size = 500

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 60,000 images of the training split, with labels of -1 except for the first ten of each digit."""
        images, labels = mnist_images(resources.data).train, mnist_labels(resources.data).train
        kept = torch.cat([(labels == digit).nonzero().squeeze(1)[: N_LABELS // len(DIGITS)] for digit in range(10)])
        few_labels = torch.full_like(labels, -1)
        few_labels[kept] = labels[kept]
        return images, few_labels

    @override
    def begin(self, model: AdversarialAutoencoder, items: Batch) -> nn.Module:
        """Draw He's weights, and keep the labelled images in the companion, since every step needs them."""
        initialise_linear(model.modules(), gain=2**0.5)
        initialise_linear([model.code_head, model.class_head or nn.Module()], gain=0.1)
        images, labels = items
        companion = nn.Module()
        companion.register_buffer("images", images[labels >= 0])
        companion.register_buffer("labels", labels[labels >= 0])
        return companion

    @override
    def optimisers(self, model: AdversarialAutoencoder, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon and AdamW for the autoencoder, and AdamW with little momentum for the discriminators."""
        discriminators = nn.ModuleList([model.discriminator, model.class_discriminator or nn.Module()])
        others = nn.ModuleList([model.trunk, model.code_head, model.class_head or nn.Module(), model.decoder])
        return [
            *muon_and_adamw(others, muon_lr=0.02, adamw_lr=1e-3),
            torch.optim.AdamW(discriminators.parameters(), lr=5e-4, betas=(0.5, 0.99), weight_decay=0.0),
        ]

    @override
    def loss(
        self, model: AdversarialAutoencoder, batch: Batch, generator: torch.Generator, companion: nn.Module
    ) -> Tensor:
        """Return the sum of reconstruction, adversarial, supervised and consistency losses."""
        images = augment(batch[0], generator, strength=0.5)
        codes, logits = codes_and_logits(model, images)
        classes = logits.float().softmax(1)
        one_hot = functional.one_hot(torch.randint(10, (len(images),), generator=generator), 10).to(classes)
        prior = torch.randn(codes.shape, generator=generator).to(codes)
        adversarial_losses = [
            adversarial_loss(discriminator, values, *extra)
            for discriminator, values, draws in (
                (model.discriminator, codes, prior),
                (model.class_discriminator or nn.Module(), classes, one_hot),
            )
            for adversarial_loss, extra in ((discrimination, (draws,)), (regularisation, ()))
        ]
        reconstructed = model.decode(torch.cat([codes, classes], 1)).float()
        labelled, labels = companion.get_buffer("images"), companion.get_buffer("labels")
        both = torch.cat([labelled.repeat(N_LABELLED // N_LABELS, 1, 1, 1), batch[0]])
        _, strong = codes_and_logits(model, augment(both, generator, strength=2.0))
        supervised = functional.cross_entropy(strong[:N_LABELLED].float(), labels.repeat(N_LABELLED // N_LABELS))
        return (
            squared_error(reconstructed, images) / 10
            + sum(adversarial_losses)
            + supervised
            + consistency(logits, strong[N_LABELLED:], 0.95)
        )


def codes_and_logits(model: AdversarialAutoencoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes and the class logits of a model with labels."""
    codes, logits = model.heads(images)
    return codes, cast("Tensor", logits)


def augment(images: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Rotate, scale, shear and shift each image `[B, 1, 28, 28]` at random; `strength` scales the limits."""
    return random_affine(
        images,
        generator,
        max_rotation_deg=8.0 * strength,
        max_scale=0.08 * strength,
        max_shear=0.12 * strength,
        max_shift_px=1.2 * strength,
    ).clamp(0, 1)


class AaeMnist(DigitRecipe):
    """Recipe of `aae-mnist`: layers of 784-1000-500-(10 + 10 classes)-500-1000-784."""

    name = "aae-mnist"
    family = "autoencoders/adversarial"
    config = AdversarialConfig(
        input_shape=(1, 28, 28),
        hidden_widths=(1000, 500),
        latent_width=10,
        discriminator_widths=(500, 500),
        labels=DIGITS,
    )
    stages = (Adversarial(),)
    bars = {  # noqa: RUF012
        "semi_supervised_error": Bar(must=0.04, aim=0.019),
        "frechet_over_vae": Bar(must=1.3, aim=1.0),
        **DigitRecipe.bars,
    }
    metrics = {  # noqa: RUF012
        "semi_supervised_error": "test error with 100 labels, MNIST test split, never trained on",
        "frechet": FRECHET_METRIC,
        "frechet_split_half": "the same between the halves of the test split",
        "frechet_over_vae": "the distance as a multiple of vae-mnist's",
        "discriminator_accuracy": "accuracy of the discriminator on codes of the test split and draws of the prior",
        **DigitRecipe.metrics,
    }
    short_description = "handwritten digits, style and class apart; 100 labels"
    headline = (
        "error with 100 labels {semi_supervised_error:.5f}; Frechet distance {frechet_over_vae:.5f} of vae-mnist's"
    )
    caption = "Ten samples of each digit; a column shares its style."
    summary = """
A semi-supervised adversarial autoencoder of handwritten digits: 784-1000-500-**10 and a class**-500-1000-784,
rectifiers, sigmoid output. Family: `autoencoders/adversarial`. Items: grey images 28x28 in [0, 1], white ink on black.
Latent: 10 numbers of style with a standard normal prior, then ten probabilities of the class. `/sample` takes `label`,
`/classify` names digits, and `/encode` tells by the discriminator how well a style fits the prior (`prior_score`).
"""
    procedure = """
MNIST training split, 60,000 images, of which the first ten of each digit keep their label (LeCun, Bottou, Bengio,
Haffner 1998). 60 epochs of 120 batches of 500: squared error; a discriminator each for style and class; the labels; and
agreement of the classes of an image and of the same image moved more (after FixMatch, Sohn et al. 2020). Muon at 0.02
for the autoencoder, Adam for the discriminators; about 20 minutes on one CPU core.
"""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure classes, samples and how well the discriminator tells codes from draws of the prior."""
        images, labels = mnist_images(resources.data).test, mnist_labels(resources.data).test
        distance = digit_frechet_distance(model, resources)
        test_features = classifier_features(images, resources)
        with torch.inference_mode():
            network = cast("AdversarialAutoencoder", model)
            codes, _ = network.heads(images)
            prior = torch.randn(codes.shape, generator=torch.Generator().manual_seed(0))
            is_correct = torch.cat([network.discriminator(prior) > 0, network.discriminator(codes) <= 0])
        return {
            "semi_supervised_error": classification_error(model, list(images), labels, DIGITS),
            "frechet": distance,
            "frechet_split_half": frechet_distance(test_features[::2], test_features[1::2]),
            "frechet_over_vae": distance / digit_frechet_distance(resources.model("vae-mnist"), resources),
            "discriminator_accuracy": is_correct.float().mean().item(),
            **super().evaluate(model, resources),
        }

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw ten digits in each of ten styles."""
        styles = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
        latents = [torch.cat([style, torch.eye(10)[digit]]) for digit in range(10) for style in styles]
        with torch.inference_mode():
            results = model.run(DECODE, [DecodeRequest(latent=latent) for latent in latents])
        return ImageCodec(1, 28, 28).png(torch.stack([result.reconstruction for result in results]).numpy())


RECIPE = AaeMnist()
