"""The network: an autoencoder, and a discriminator that tells its latents from draws from the prior.

Shapes: `B` batch, `Z` number of continuous elements of a latent, `C` classes (0 for models without labels).
"""

from math import inf, prod

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.adversarial.config import AdversarialConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.layers.feedforward import FeedForward


class AdversarialAutoencoder(FixedShapeAutoencoder):
    """z, y = f(x), x' = sigmoid(g(z, y)) or g(z, y). D(z) is the probability that z was drawn from the prior N(0, 1).

    f, g and D are fully connected. With labels, y is the probabilities of the classes, and a second discriminator tells
    them from one-hot draws. A latent is z followed by y.

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
        is_linear = config.output == "linear"
        self.value_range = (-inf, inf) if is_linear else (0.0, 1.0)
        self.decoder = nn.Sequential(
            FeedForward((*self.latent_shape, *config.hidden_widths[::-1], n_elements), "relu"),
            nn.Identity() if is_linear else nn.Sigmoid(),
            nn.Unflatten(1, config.input_shape),
        )
        self.discriminator = FeedForward((config.latent_width, *config.discriminator_widths, 1), "relu")
        self.class_discriminator = (
            FeedForward((n_classes, *config.discriminator_widths, 1), "relu") if n_classes else None
        )

    def heads(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return z `[B, Z]` and, with labels, the logits of the classes `[B, C]`."""
        features = self.trunk(items)
        return self.code_head(features), self.class_head(features) if self.class_head else None

    @override
    def encode(self, items: Tensor) -> Tensor:
        """Map `[B, *input_shape]` to z, followed by the probabilities of the classes: `[B, Z + C]`."""
        codes, logits = self.heads(items)
        return codes if logits is None else torch.cat([codes, logits.softmax(1)], 1)

    @override
    def class_logits(self, items: Tensor) -> Tensor:
        _, logits = self.heads(items)
        return super().class_logits(items) if logits is None else logits
