"""The network: a posterior over latents, and a likelihood of items given a latent.

Shapes: `B` batch, `K` draws, `X` elements of an item, `Z` latent width, `C` classes (0 where the model has no labels).
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.variational.bits_back import BitsBack
from models.autoencoders.variational.config import VariationalConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.autoencoding.latents import DiagonalGaussian, log_normal, prior_draw
from models.autoencoding.metrics import compared
from models.errors import InvalidItems, Problem
from models.layers.feedforward import FeedForward
from models.ops.devices import to_cpu
from models.seeding import seeded
from models.tasks.autoencoding import EncodeRequest, EncodeResult, ReconstructRequest, ReconstructResult, SampleRequest

N_SCORE_DRAWS = 8
"""Draws of the posterior behind a reconstruction probability; their noise is the same for every item."""


class VariationalAutoencoder(FixedShapeAutoencoder):
    """q(z | x, y) = N(f(x, y)), p(x | z, y) = Bernoulli or N of g(z, y), p(z) = N(0, 1).

    f and g are fully connected with rectifiers, g mirrors f. Without labels there is no y; with them, y is one-hot and
    `classifier` is q(y | x), which stands in where the class is not given. A latent is z, then y.

    Source: Kingma and Welling 2014, section 3 and appendix C; with labels: Kingma et al. 2014, model M2.
    """

    reads_weights = True  # bits back compute with them in integers

    def __init__(self, config: VariationalConfig) -> None:
        super().__init__()
        self.labels = config.labels
        self.input_shape = config.input_shape
        self.latent_width = config.latent_width
        self.latent_shape = (config.latent_width + len(config.labels),)
        self.is_binary = config.likelihood == "bernoulli"
        self.scores = ("mse", "mae", "reconstruction_probability")
        self.samplers = ("prior",) if config.labels else ("prior", "gmm")
        self.value_range = (0.0, 1.0) if self.is_binary else (-torch.inf, torch.inf)
        n_elements, n_classes = prod(config.input_shape), len(config.labels)
        self.encoder: nn.Sequential = FeedForward(
            (n_elements + n_classes, *config.hidden_widths, 2 * config.latent_width), "relu"
        )
        self.decoder: nn.Sequential = FeedForward(
            (config.latent_width + n_classes, *config.hidden_widths[::-1], n_elements), "relu"
        )
        self.classifier = FeedForward((n_elements, *config.hidden_widths[1:], n_classes), "relu") if n_classes else None
        self._coder: BitsBack | None = None
        self.log_variance = None if self.is_binary else nn.Parameter(torch.zeros(()))

    def posterior(self, items: Tensor, classes: Tensor | None = None) -> DiagonalGaussian:
        """q(z | x, y) of `[B, *input_shape]`; `classes` `[B, C]` are inferred where they are not given."""
        flat = items.flatten(1)
        if self.classifier:
            flat = torch.cat([flat, self.infer(items) if classes is None else classes], 1)
        return DiagonalGaussian.of(self.encoder(flat))

    def infer(self, items: Tensor) -> Tensor:
        """The likeliest class of each item, one-hot `[B, C]`."""
        logits = self.class_logits(items)
        return functional.one_hot(logits.argmax(1), logits.shape[1]).to(items.dtype)

    def log_likelihood(self, latents: Tensor, items: Tensor) -> Tensor:
        """log p(x | z, y) in nats, of latents `[K, B, Z + C]` and items `[B, *input_shape]`: `[K, B]`."""
        return self.elementwise_log_likelihood(latents, items).sum(-1)

    def elementwise_log_likelihood(self, latents: Tensor, items: Tensor) -> Tensor:
        """The same element by element: `[K, B, X]`."""
        outputs = self.decoder(latents).float()
        targets = items.flatten(1).expand_as(outputs).float()
        if self.log_variance is None:
            return -functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return log_normal(targets, outputs, self.log_variance)

    def codes(self, items: Tensor) -> Tensor:
        """The posterior's mean, and the class: `[B, Z + C]`."""
        return self._with_classes(self.posterior(items).mean.to(items.dtype), items)

    def decoded(self, latents: Tensor) -> Tensor:
        """The likelihood's mean: `[B, Z + C]` to `[B, *input_shape]`."""
        outputs: Tensor = self.decoder(latents)
        return (outputs.sigmoid() if self.log_variance is None else outputs).view(-1, *self.input_shape)

    def encode(self, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
        """The posterior of each item, and its mean or a draw as the latent."""
        items = self.to_device(torch.stack([request.item for request in requests]))
        posterior = self.posterior(items)
        latents = to_cpu(self._with_classes(posterior.mean.to(items.dtype), items))
        means, log_variances = to_cpu(posterior.mean), to_cpu(posterior.log_variance)
        results = []
        for request, latent, mean, log_variance in zip(requests, latents, means, log_variances, strict=True):
            if request.sample:
                noise = torch.randn(self.latent_width, generator=seeded(request.seed))
                latent = torch.cat([DiagonalGaussian(mean, log_variance).at(noise), latent[self.latent_width :]])
            results.append(EncodeResult(latent=latent, mean=mean, log_variance=log_variance))
        return results

    def reconstruct(self, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
        """Through the posterior's mean, or through a draw of it where a request has a seed."""
        encoded = self.encode(
            [EncodeRequest(item=r.item, sample=r.seed is not None, seed=r.seed or 0) for r in requests]
        )
        decoded = self.batch_of(torch.stack([result.latent for result in encoded]))
        return compared(torch.stack([request.item for request in requests]), decoded)

    def draw(self, request: SampleRequest, sampler: str, generator: torch.Generator) -> Tensor:
        """From the prior, with the class asked for or any; or from the mixture."""
        if sampler != "prior":
            return super().draw(request, sampler, generator)
        return prior_draw(self.latent_width, self.labels, request, generator)

    def score_parts(self, items: Sequence[Tensor], score: str) -> list[Tensor]:
        """Besides the reconstruction errors: -log p(x | z) in nats, averaged over draws of the posterior.

        Source: An and Cho 2015, algorithm 4.
        """
        if score != "reconstruction_probability":
            return super().score_parts(items, score)
        batch = self.to_device(torch.stack(list(items)))
        posterior = self.posterior(batch)
        noise = torch.randn(N_SCORE_DRAWS, 1, self.latent_width, generator=seeded(0)).to(posterior.mean)
        classes = self._with_classes(posterior.mean, batch)[:, self.latent_width :]
        draws = posterior.at(noise).to(batch.dtype)
        latents = torch.cat([draws, classes.to(batch.dtype).expand(N_SCORE_DRAWS, -1, -1)], -1)
        parts = -self.elementwise_log_likelihood(latents, batch).mean(0)
        return list(to_cpu(parts.view(-1, *self.input_shape)).unbind())

    def class_logits(self, items: Tensor) -> Tensor:
        """Of q(y | x): `[B, *input_shape]` to `[B, C]`."""
        return super().class_logits(items.flatten(1))

    def pack_lossless(self, items: Tensor) -> NDArray[np.uint32]:
        """Bits back, for the Bernoulli likelihood.

        Raises:
            InvalidItems: an element is neither 0 nor 1, or the likelihood is another.
        """
        if self.log_variance is not None:
            return super().pack_lossless(items)
        for i, item in enumerate(items):
            if len(strangers := item[(item != 0) & (item != 1)]):
                detail = f"the value {strangers[0]:g} is neither 0 nor 1; lossless coding needs binary items"
                raise InvalidItems(Problem(detail, i))
        classes = self.infer(self.to_device(items)).argmax(1).cpu() if self.classifier else None
        return self._bits_back().pack(items.flatten(1), classes)

    def unpack_lossless(self, words: NDArray[np.uint32], n_items: int) -> Tensor | None:
        """See `pack_lossless`."""
        if self.log_variance is not None:
            return None
        items = self._bits_back().unpack(words, n_items)
        return None if items is None else items.view(-1, *self.input_shape)

    def _bits_back(self) -> BitsBack:
        if self._coder is None:
            self._coder = BitsBack(
                self.encoder, self.decoder, latent_width=self.latent_width, n_classes=len(self.labels)
            )
        return self._coder

    def _with_classes(self, latents: Tensor, items: Tensor) -> Tensor:
        return torch.cat([latents, self.infer(items).to(latents.dtype)], 1) if self.classifier else latents
