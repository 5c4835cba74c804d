"""The network: an encoder to the posterior of latents, and a decoder to the likelihood of items.

Shapes: `B` batch, `K` draws, `X` elements of an item, `Z` number of continuous elements of a latent, `C` classes (0 for
models without labels).
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.variational.bits_back import BitsBackCoder
from models.autoencoders.variational.config import VariationalConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.autoencoding.compression.fixed_point import has_integer_twin
from models.autoencoding.latents import DiagonalGaussian, log_normal
from models.layers.feedforward import FeedForward
from models.seeding import seeded

N_SCORE_DRAWS = 8
"""Number of draws from the posterior for the score `reconstruction_probability`; all items share their noise."""


class VariationalAutoencoder(FixedShapeAutoencoder):
    """q(z | x, y) = N(f(x, y)), p(x | z, y) = Bernoulli or N of g(z, y), p(z) = N(0, 1).

    f and g are fully connected with rectifiers. With labels, y is a one-hot class, and `classifier` is q(y | x), which
    infers the class where it is not given. Without labels, there is no y. A latent is z followed by y.

    Source: Kingma and Welling 2014, section 3 and appendix C; Kingma et al. 2014, model M2, with labels.

    Attributes:
        log_variance: logarithm of the variance of the Gaussian likelihood; None if the likelihood is Bernoulli.
    """

    score_passes: Mapping[str, int] = MappingProxyType({"reconstruction_probability": N_SCORE_DRAWS})
    reads_weights = True  # the lossless coder computes with them in integers

    def __init__(self, config: VariationalConfig) -> None:
        super().__init__()
        self.labels = config.labels
        self.input_shape = config.input_shape
        self.latent_width = config.latent_width
        self.latent_shape = (config.latent_width + len(config.labels),)
        is_binary = config.likelihood == "bernoulli"
        self.scores = ("mse", "mae", "reconstruction_probability")
        self.samplers = ("prior",) if config.labels else ("prior", "gmm")
        self.value_range = (0.0, 1.0) if is_binary else (-torch.inf, torch.inf)
        n_elements, n_classes = prod(config.input_shape), len(config.labels)
        self.encoder: nn.Sequential = FeedForward(
            (n_elements + n_classes, *config.hidden_widths, 2 * config.latent_width), "relu"
        )
        self.decoder: nn.Sequential = FeedForward(
            (config.latent_width + n_classes, *config.hidden_widths[::-1], n_elements), "relu"
        )
        self.classifier = FeedForward((n_elements, *config.hidden_widths[1:], n_classes), "relu") if n_classes else None
        self.log_variance = None if is_binary else nn.Parameter(torch.zeros(()))

    def posterior(self, items: Tensor, classes: Tensor | None = None) -> DiagonalGaussian:
        """Return q(z | x, y) of items `[B, *input_shape]`.

        `classes` are one-hot, `[B, C]`. A model with labels infers them if None.
        """
        flat = items.flatten(1)
        if self.classifier:
            flat = torch.cat([flat, self.infer_classes(items) if classes is None else classes], 1)
        return DiagonalGaussian.from_parameters(self.encoder(flat))

    def infer_classes(self, items: Tensor) -> Tensor:
        """Return the likeliest class of each item, one-hot: `[B, *input_shape]` to `[B, C]`."""
        logits = self.class_logits(items)
        return functional.one_hot(logits.argmax(1), logits.shape[1]).to(items.dtype)

    def append_classes(self, latents: Tensor, items: Tensor) -> Tensor:
        """Append the inferred classes of the items to z: `[B, Z]` to `[B, Z + C]`."""
        if self.classifier is None:
            return latents
        return torch.cat([latents, self.infer_classes(items).to(latents.dtype)], 1)

    def log_likelihood(self, latents: Tensor, items: Tensor) -> Tensor:
        """Return log p(x | z, y) in nats, for each element, of latents `[K, B, Z + C]` and items `[B, *input_shape]`.

        The result is `[K, B, X]`. Its sum over the elements is the log-likelihood of the items.
        """
        outputs = self.decoder(latents)
        dtype = torch.promote_types(items.dtype, torch.float32)
        outputs, targets = outputs.to(dtype), items.flatten(1).expand_as(outputs).to(dtype)
        if self.log_variance is None:
            return -functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return log_normal(targets, outputs, self.log_variance)

    @override
    def encode(self, items: Tensor) -> Tensor:
        """Map `[B, *input_shape]` to the mean of the posterior, followed by the class: `[B, Z + C]`."""
        mean = self.posterior(items).mean.to(items.dtype)
        return self.append_classes(mean, items)

    @override
    def decode(self, latents: Tensor) -> Tensor:
        """Map `[B, Z + C]` to the mean of the likelihood, `[B, *input_shape]`."""
        outputs: Tensor = self.decoder(latents)
        return (outputs.sigmoid() if self.log_variance is None else outputs).view(-1, *self.input_shape)

    @override
    def class_logits(self, items: Tensor) -> Tensor:
        return super().class_logits(items.flatten(1))

    @override
    def score_contributions(self, items: Sequence[Tensor], score: str) -> list[Tensor]:
        """Return the contributions to a score, one of which is `reconstruction_probability`: -log p(x | z) in nats.

        It is averaged over draws of z from the posterior. Source: An and Cho 2015, algorithm 4.
        """
        if score != "reconstruction_probability":
            return super().score_contributions(items, score)
        targets = torch.stack(list(items))
        batch = self.to_device(targets)
        posterior = self.posterior(batch)
        noise = torch.randn(N_SCORE_DRAWS, 1, self.latent_width, generator=seeded(0)).to(posterior.mean)
        classes = self.append_classes(posterior.mean, batch)[:, self.latent_width :]
        draws = posterior.sample(noise).to(batch.dtype)
        latents = torch.cat([draws, classes.to(batch.dtype).expand(N_SCORE_DRAWS, -1, -1)], -1)
        contributions = -self.log_likelihood(latents, targets.to(batch.device)).mean(0)
        return list(contributions.view(-1, *self.input_shape).cpu().unbind())

    @cached_property
    @override
    def is_lossless(self) -> bool:
        """Return whether the likelihood is Bernoulli and the networks can be computed in integers."""
        networks = (self.encoder, self.decoder)
        return self.log_variance is None and all(map(has_integer_twin, networks))

    @cached_property
    @override
    def lossless_coder(self) -> BitsBackCoder | None:
        """Return a coder of items whose elements are 0 or 1; None unless the model `is_lossless`."""
        if not self.is_lossless:
            return None
        return BitsBackCoder(
            self.encoder,
            self.decoder,
            input_shape=self.input_shape,
            latent_width=self.latent_width,
            n_classes=len(self.labels),
            class_logits_of=self.class_logits_of,
        )
