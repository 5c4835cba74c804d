"""The network: an overcomplete autoencoder that is shown corrupted items, and a classifier grown from its encoder.

Shapes: `B` batch, `X` elements of an item, `Z` latent width, `C` classes.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from models.autoencoders.denoising.config import DenoisingConfig
from models.layers.autoencoder import FixedShapeAutoencoder, on_cpu
from models.layers.feedforward import feedforward


class DenoisingAutoencoder(FixedShapeAutoencoder):
    """z = f(x~), x' = sigmoid(g(z)): the clean item from a corrupted one. y = h(f'(x)) are the classes' logits.

    Source: Vincent et al. 2008, section 2; the classifier: Vincent et al. 2010, section 5.
    """

    def __init__(self, config: DenoisingConfig) -> None:
        super().__init__()
        self.labels = config.labels
        self.input_shape = config.input_shape
        self.latent_shape = (config.latent_width,)
        widths = (prod(config.input_shape), *config.hidden_widths, config.latent_width)
        self.encoder = nn.Sequential(nn.Flatten(), feedforward(widths, "gelu"))
        self.decoder = nn.Sequential(
            feedforward(widths[::-1], "gelu"), nn.Sigmoid(), nn.Unflatten(1, config.input_shape)
        )
        self.classifier = (
            nn.Sequential(
                nn.Flatten(), feedforward(widths, "gelu"), nn.GELU(), nn.Linear(config.latent_width, len(config.labels))
            )
            if config.labels
            else None
        )

    def grow_classifier(self) -> None:
        """Start the classifier as a copy of the encoder, with a last layer of zeros."""
        if self.classifier is None:
            raise NotImplementedError("this model was built without labels")
        linear = [
            [m for m in module.modules() if isinstance(m, nn.Linear)] for module in (self.encoder, self.classifier)
        ]
        for learned, fresh in zip(linear[0], linear[1], strict=False):
            fresh.load_state_dict(learned.state_dict())
        nn.init.zeros_(linear[1][-1].weight)
        nn.init.zeros_(linear[1][-1].bias)

    def class_logits_of(self, items: Sequence[Tensor]) -> Tensor:
        """`[B, C]`."""
        return on_cpu(self.class_logits(self.to_device(torch.stack(list(items)))))

    def class_logits(self, items: Tensor) -> Tensor:
        """`[B, *input_shape]` to `[B, C]`."""
        if self.classifier is None:
            raise NotImplementedError("this model was built without labels")
        logits: Tensor = self.classifier(items)
        return logits
