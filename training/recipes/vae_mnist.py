"""The variational autoencoder of binarised MNIST digits, latent 40."""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.variational.config import VariationalConfig
from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoders.variational.objective import elbo, importance_weighted_bound
from models.codecs.image import ImageCodec
from models.family import Model
from training.augmentation import random_affine
from training.data.mnist import mnist_images
from training.digits import FRECHET_METRIC, N_PICTURED, DigitRecipe, digit_frechet_distance, reconstruct
from training.metrics import binarise, bits_per_element, draw_samples, mean_in_batches
from training.optimisers import initialise_linear, muon_and_adamw
from training.recipe import Bar, Batch, Resources, Stage

N_IMPORTANCE_SAMPLES = 5000


class Bound(Stage[VariationalAutoencoder]):
    """Maximises a bound on the likelihood of digits whose pixels are drawn anew as 1 with the probability of their
    grey.

    With one draw of the latent it is the ELBO, with more the importance-weighted bound. The fraction `augmented_share`
    of a batch is augmented, which reduces overfitting.
    """

    def __init__(self, name: str, *, n_epochs: int, n_draws: int, muon_lr: float, augmented_share: float) -> None:
        self.name, self.n_epochs, self.batch_size = name, n_epochs, 1000
        self.n_draws, self.muon_lr, self.augmented_share = n_draws, muon_lr, augmented_share

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 60,000 grey images of the training split."""
        return (mnist_images(resources.data).train,)

    @override
    def begin(self, model: VariationalAutoencoder, items: Batch) -> nn.Module:
        """Draw He's weights, for rectifiers, in the first stage; the second continues from its weights."""
        if self.n_draws == 1:
            initialise_linear(model.modules(), gain=2**0.5)
        return nn.Module()

    @override
    def optimisers(self, model: VariationalAutoencoder, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon for the matrices and AdamW for the biases."""
        return muon_and_adamw(model, muon_lr=self.muon_lr, adamw_lr=1e-3, weight_decay=0.0)

    @override
    def loss(
        self, model: VariationalAutoencoder, batch: Batch, generator: torch.Generator, companion: nn.Module
    ) -> Tensor:
        """Return the negative bound in nats per image."""
        (images,) = batch
        if n_augmented := int(len(images) * self.augmented_share):
            augmented = random_affine(
                images[:n_augmented], generator, max_rotation_deg=5.0, max_scale=0.06, max_shear=0.1, max_shift_px=1.0
            ).clamp(0, 1)
            images = torch.cat([augmented, images[n_augmented:]])
        images = (torch.rand(images.shape, generator=generator).to(images.device) < images).float()
        noise = torch.randn(self.n_draws, len(images), model.latent_width, generator=generator).to(images.device)
        bound = elbo if self.n_draws == 1 else importance_weighted_bound
        return -bound(model, images, noise).mean()


class VaeMnist(DigitRecipe):
    """Recipe of `vae-mnist`: layers of 784-1024-512-40 and back."""

    name = "vae-mnist"
    family = "autoencoders/variational"
    config = VariationalConfig(input_shape=(1, 28, 28), hidden_widths=(1024, 512), latent_width=40)
    stages = (
        Bound("elbo", n_epochs=120, n_draws=1, muon_lr=0.05, augmented_share=0.3),
        Bound("iwae", n_epochs=25, n_draws=8, muon_lr=0.01, augmented_share=0.2),
    )
    bars = {  # noqa: RUF012
        "test_nll": Bar(must=87.5, aim=84.5),
        "lossless_bits": Bar(must=0.20, aim=0.17),
        **DigitRecipe.bars,
    }
    metrics = {  # noqa: RUF012
        "test_nll": "negative log-likelihood in nats, MNIST test split, binarised at random, 5,000 importance samples",
        "test_elbo": "evidence lower bound in nats, 50 draws",
        "active_units": "latent elements whose posterior mean varies by more than 0.01 (Burda et al. 2016)",
        "lossless_bits": "bits a pixel of one lossless stream of the binarised test split, every byte counted",
        "elbo_bits": "the negative ELBO in bits a pixel, for comparison",
        "frechet": FRECHET_METRIC,
        **DigitRecipe.metrics,
    }
    default_for = ("detect_anomalies", "impute", "compress", "decompress")
    short_description = "handwritten digits, a prior to sample; lossless compression"
    headline = "negative log-likelihood {test_nll:.5f} nats; lossless {lossless_bits:.5f} bits a pixel"
    caption = "Top: the first test images, each left of its reconstruction. Bottom: samples of the prior."
    summary = """
A variational autoencoder of binarised handwritten digits: 784-1024-512-**40**-512-1024-784, rectifiers, Bernoulli
likelihood. Family: `autoencoders/variational`. Items: grey images 28x28 in [0, 1], white ink on black, taken as
probabilities of ink. Latent: 40 numbers with a standard normal prior.
"""
    procedure = """
MNIST training split, 60,000 images (LeCun, Bottou, Bengio, Haffner 1998), binarised anew in every batch: each pixel is
1 with its grey's probability. 120 epochs of the ELBO, then 25 of the importance-weighted bound with 8 draws, Muon at
0.05 and 0.01 with a linear decay, batches of 1,000, of which 30% and 20% are slightly moved; about 40 minutes on one
CPU core. Learning rate and widths were chosen on the last 5,000 training images.
"""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure likelihoods, lossless compression, samples, and the reconstructions of grey images."""
        model = cast("VariationalAutoencoder", model)
        grey = mnist_images(resources.data).test
        images = binarise(grey, seed=0)

        def bound_of(n_draws: int, chunk: int) -> Callable[[Tensor, int], Tensor]:
            def measure(batch: Tensor, number: int) -> Tensor:
                generator = torch.Generator().manual_seed(number)
                sums = []
                for _ in range(n_draws // chunk):
                    noise = torch.randn(chunk, len(batch), model.latent_width, generator=generator)
                    sums.append(importance_weighted_bound(model, batch, noise))
                return torch.stack(sums).logsumexp(0) - math.log(len(sums))

            return measure

        nll = -mean_in_batches("likelihood", list(images), 20, bound_of(N_IMPORTANCE_SAMPLES, 100))
        lower = mean_in_batches(
            "lower bound",
            list(images),
            100,
            lambda batch, number: elbo(
                model,
                batch,
                torch.randn(50, len(batch), model.latent_width, generator=torch.Generator().manual_seed(number)),
            ),
        )
        with torch.inference_mode():
            active = (model.posterior(images).mean.var(0) > 0.01).sum().item()
        return {
            "test_nll": nll,
            "test_elbo": lower,
            "active_units": float(active),
            "lossless_bits": bits_per_element(model, list(images)),
            "elbo_bits": -lower / math.log(2) / grey[0].numel(),
            "frechet": digit_frechet_distance(model, resources),
            **super().evaluate(model, resources),
        }

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw reconstructions, with samples below."""
        images = mnist_images(resources.data).test[:N_PICTURED]
        pairs = torch.stack([images, reconstruct(model, images)], 1).flatten(0, 1)
        return ImageCodec(1, 28, 28).png(torch.cat([pairs, draw_samples(model, 2 * N_PICTURED, seed=0)]).numpy())


RECIPE = VaeMnist()
