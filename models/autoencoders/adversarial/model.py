"""The network: an autoencoder, and a discriminator that tells its latents from draws of the prior.

Shapes: `B` batch, `Z` latent width, `C` classes (0 where the model has no labels).
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from models.autoencoders.adversarial.config import AdversarialConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.autoencoding.latents import prior_draw
from models.layers.feedforward import FeedForward
from models.ops.devices import to_cpu
from models.tasks.autoencoding import EncodeRequest, EncodeResult, SampleRequest


class AdversarialAutoencoder(FixedShapeAutoencoder):
    """z, y = f(x), x' = sigmoid(g(z, y)); D(z) is the probability that z was drawn from the prior N(0, 1).

    f, g and D are fully connected. With labels, y are the probabilities of the classes, and a second discriminator
    tells them from one-hot draws. A latent is z, then y.

    Source: Makhzani et al. 2015, figures 1 and 8.
    """

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.labels = config.labels
        self.samplers = ("prior",) if config.labels else ("prior", "gmm")
        self.input_shape = config.input_shape
        self.latent_width, n_classes = config.latent_width, len(config.labels)
        self.latent_shape = (config.latent_width + n_classes,)
        n_elements = prod(config.input_shape)
        self.trunk = nn.Sequential(nn.Flatten(), FeedForward((n_elements, *config.hidden_widths), "relu"), nn.ReLU())
        self.code_head = nn.Linear(config.hidden_widths[-1], config.latent_width)
        self.class_head = nn.Linear(config.hidden_widths[-1], n_classes) if n_classes else None
        self.decoder = nn.Sequential(
            FeedForward((*self.latent_shape, *config.hidden_widths[::-1], n_elements), "relu"),
            nn.Sigmoid(),
            nn.Unflatten(1, config.input_shape),
        )
        self.discriminator = FeedForward((config.latent_width, *config.discriminator_widths, 1), "relu")
        self.class_discriminator = (
            FeedForward((n_classes, *config.discriminator_widths, 1), "relu") if n_classes else None
        )

    def heads(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        """z `[B, Z]` and, with labels, the classes' logits `[B, C]`."""
        features = self.trunk(items)
        return self.code_head(features), self.class_head(features) if self.class_head else None

    def codes(self, items: Tensor) -> Tensor:
        """z, then the classes' probabilities: `[B, *input_shape]` to `[B, Z + C]`."""
        codes, logits = self.heads(items)
        return codes if logits is None else torch.cat([codes, logits.softmax(1)], 1)

    def encode(self, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
        """Latents, and what the discriminator takes them for."""
        results = super().encode(requests)
        codes = torch.stack([result.latent[: self.latent_width] for result in results])
        scores = to_cpu(self.discriminator(self.to_device(codes)).sigmoid()).squeeze(1).tolist()
        return [replace(result, prior_score=score) for result, score in zip(results, scores, strict=True)]

    def draw(self, request: SampleRequest, sampler: str, generator: torch.Generator) -> Tensor:
        """From the prior, with the class asked for or any; or from the mixture."""
        if sampler != "prior":
            return super().draw(request, sampler, generator)
        return prior_draw(self.latent_width, self.labels, request, generator)

    def class_logits(self, items: Tensor) -> Tensor:
        """Of the classes in the latent: `[B, *input_shape]` to `[B, C]`."""
        _, logits = self.heads(items)
        return super().class_logits(items) if logits is None else logits
